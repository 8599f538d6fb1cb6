//! Raft's log and vote, durable: what openraft asks of a log store, on top of the segments.
//!
//! One thread writes, in the order of the calls, and flushes once for all that waits. An entry can be read as soon as
//! it is appended; openraft hears of it once it is on disk.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::Mutex;

use super::frame::Kind;
use super::index::{Index, Slot};
use super::segments::{SegmentError, Segments};
use super::types::{LogEntry, LogId, Quorum, StorageError, Vote};
use super::wire::{self, DecodeError};
use super::writer::{Done, Job, Writer};

/// Why the log on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its files.
    #[error(transparent)]
    Files(#[from] SegmentError),
    /// What they hold.
    #[error("the metadata log: {0}")]
    Contents(#[from] DecodeError),
    /// Entries are missing.
    #[error("the metadata log has a gap before entry {0}")]
    Gap(u64),
}

/// The log; clones are the same log.
#[derive(Clone)]
pub(super) struct Store {
    index: Arc<Mutex<Index>>,
    written: Arc<AtomicU64>,
    writer: Writer,
}

impl Store {
    /// Opens the log in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let (segments, found) = Segments::open(folder)?;
        let (mut index, mut bytes) = (Index::default(), 0);
        // The first of the entries whose predecessors are gone with their segments. That is no gap if a later frame
        // takes them back: what took their place then follows it.
        let mut cut_off: Option<u64> = None;
        // The segments of what was purged last may be gone, and those of what was purged before still be there.
        let purge = found.iter().rfind(|frame| frame.kind == Kind::Purge);
        index.purged = purge.map(|frame| wire::decode_log_id(&frame.payload)).transpose()?;
        for frame in found {
            match frame.kind {
                Kind::Vote => index.vote = Some(wire::decode_vote(&frame.payload)?),
                Kind::Truncate => {
                    let from = wire::decode_log_id(&frame.payload)?.index;
                    index.truncate(from);
                    cut_off = cut_off.filter(|first| *first < from);
                }
                Kind::Purge => {}
                Kind::Entry => {
                    let entry = wire::decode_entry(&frame.payload)?;
                    let id = entry.log_id;
                    if index.purged.is_some_and(|purged| id.index <= purged.index) {
                        continue;
                    }
                    if index.push(entry) {
                        bytes += frame.at.len() as u64;
                        index.written(id, frame.at);
                    } else {
                        cut_off.get_or_insert(id.index);
                    }
                }
            }
        }
        let gap = cut_off.or(Some(index.first()).filter(|first| index.purged.is_none() && *first > 0));
        if let Some(entry) = gap {
            return Err(OpenError::Gap(entry));
        }
        let index = Arc::new(Mutex::new(index));
        let written = Arc::new(AtomicU64::new(bytes));
        Ok(Self { writer: Writer::start(segments, Arc::clone(&index), Arc::clone(&written)), written, index })
    }

    /// The last entry, or the last one that a snapshot took the place of.
    pub(super) fn last(&self) -> Option<LogId> {
        self.index.lock().last()
    }

    /// How many bytes of entries have been written, those found at the start included; only ever grows.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    async fn written(&self, job: impl FnOnce(Done) -> Job) -> Result<(), StorageError> {
        self.writer.write(job).await.map_err(|error| StorageIOError::write(&error).into())
    }
}

impl RaftLogReader<Quorum> for Store {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        let index = self.index.lock();
        index.range(from, to).map(read).collect()
    }
}

fn read(slot: &Slot) -> Result<LogEntry, StorageError> {
    let failed = |error: io::Error| StorageIOError::read_log_entry(slot.id, &error).into();
    match (&slot.entry, &slot.at) {
        (Some(entry), _) => Ok(entry.clone()),
        (None, Some(at)) => {
            let payload = at.read().map_err(failed)?;
            wire::decode_entry(&payload).map_err(|error| failed(io::Error::other(error)))
        }
        (None, None) => Err(failed(io::Error::other("an entry is neither in memory nor on disk"))),
    }
}

impl RaftLogStorage<Quorum> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Quorum>, StorageError> {
        let index = self.index.lock();
        Ok(LogState { last_purged_log_id: index.purged, last_log_id: index.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.written(|done| Job::Vote(vote, done)).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.index.lock().vote)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Quorum>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut frames = Vec::new();
        for entry in entries {
            frames.push((entry.log_id, wire::encode_entry(&entry)));
            let id = entry.log_id;
            if !self.index.lock().push(entry) {
                let error = io::Error::other("an entry was appended that leaves a gap");
                return Err(StorageIOError::write_log_entry(id, &error).into());
            }
        }
        self.writer.append(frames, Box::new(|result| callback.log_io_completed(result)));
        Ok(())
    }

    async fn truncate(&mut self, id: LogId) -> Result<(), StorageError> {
        self.index.lock().truncate(id.index);
        self.written(|done| Job::Truncate(id, done)).await
    }

    async fn purge(&mut self, id: LogId) -> Result<(), StorageError> {
        self.index.lock().purge(id);
        self.written(|done| Job::Purge(id, done)).await
    }
}
