//! Applies committed entries to the image: what openraft asks of a state machine.
//!
//! The image lives in memory; a restart loads the snapshot and replays what follows it.

use std::io::{self, Cursor};
use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{AnyError, OptionalSend, RaftLogId, RaftSnapshotBuilder, Snapshot, StorageIOError};
use ottla_core::LogIndex;
use ottla_core::metadata::Image;
use tokio::sync::watch;

use super::snapshots::{SnapshotError, Snapshots, decode};
use super::types::{Counted, LogEntry, LogId, Payload, Quorum, SnapshotMeta, StorageError, StoredMembership};

/// The image as of the last applied entry, and how it is told to the broker.
pub(super) struct StateMachine {
    image: Image,
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: Snapshots,
    committed: watch::Sender<Arc<Image>>,
}

impl StateMachine {
    /// The state machine as its snapshot has it. Every image it comes to is sent to `committed`.
    pub(super) fn load(snapshots: Snapshots, committed: watch::Sender<Arc<Image>>) -> Result<Self, SnapshotError> {
        let mut machine = Self {
            image: Image::default(),
            applied: None,
            membership: StoredMembership::default(),
            snapshots,
            committed,
        };
        if let Some(stored) = machine.snapshots.load()? {
            machine.replace(&stored.meta, decode(&stored.image)?);
        }
        Ok(machine)
    }

    fn replace(&mut self, meta: &SnapshotMeta, image: Image) {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.image = image;
        self.tell();
    }

    fn tell(&self) {
        self.committed.send_replace(Arc::new(self.image.clone()));
    }

    fn apply_one(&mut self, entry: &LogEntry) -> Result<Counted, StorageError> {
        let index = LogIndex(entry.log_id.index);
        let counted = match &entry.payload {
            // The only entries without a payload are the first ones of leaders.
            Payload::Blank => {
                self.image.begin_reign(index, entry.log_id.leader_id.node_id.broker());
                false
            }
            Payload::Membership(membership) => {
                self.image.advance(index);
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                false
            }
            Payload::Normal(decided) => self
                .image
                .apply_entry(index, &decided.0)
                .map_err(|error| StorageIOError::apply(entry.log_id, &error))?,
        };
        self.applied = Some(entry.log_id);
        Ok(Counted(counted))
    }
}

impl RaftStateMachine<Quorum> for StateMachine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Counted>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let counted = entries.into_iter().map(|entry| self.apply_one(&entry)).collect();
        self.tell();
        counted
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            image: self.image.clone(),
            applied: self.applied,
            membership: self.membership.clone(),
            snapshots: self.snapshots.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let failed = |error: io::Error| StorageIOError::write_snapshot(Some(meta.signature()), &error);
        let bytes = snapshot.into_inner();
        let image = decode(&bytes).map_err(|error| failed(io::Error::other(error)))?;
        save(&self.snapshots, meta.clone(), bytes).await.map_err(failed)?;
        self.replace(meta, image);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Quorum>>, StorageError> {
        let snapshots = self.snapshots.clone();
        let stored = blocking(move || snapshots.load()).await;
        let stored = stored.map_err(|error| StorageIOError::read_snapshot(None, AnyError::error(error)))?;
        Ok(stored.map(|stored| Snapshot { meta: stored.meta, snapshot: Box::new(Cursor::new(stored.image)) }))
    }
}

/// An image on its way to disk; the state machine goes on meanwhile.
pub(super) struct Builder {
    image: Image,
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: Snapshots,
}

impl RaftSnapshotBuilder<Quorum> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Quorum>, StorageError> {
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: self.applied.map_or_else(String::new, |id| id.get_log_id().to_string()),
        };
        let (image, snapshots, saved) = (self.image.clone(), self.snapshots.clone(), meta.clone());
        let written = blocking(move || {
            let bytes = image.encode_snapshot();
            snapshots.save(&saved, &bytes).map(|()| bytes)
        });
        let failed = |error| StorageIOError::write_snapshot(Some(meta.signature()), AnyError::error(error));
        let bytes = written.await.map_err(failed)?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
    }
}

async fn save(snapshots: &Snapshots, meta: SnapshotMeta, image: Vec<u8>) -> io::Result<()> {
    let snapshots = snapshots.clone();
    blocking(move || snapshots.save(&meta, &image)).await.map_err(io::Error::other)
}

/// Does file work where it keeps nobody waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, String> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
