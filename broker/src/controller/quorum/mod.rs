//! The metadata log as a Raft of openraft: durable log, vote and snapshots in one folder, and who leads.
//!
//! Nothing outside this folder knows of openraft; the broker sees [`MetadataLog`]. Here is no rule of the controller.

// openraft's StorageError is large, and what its traits return.
#![allow(clippy::result_large_err)]

mod frame;
mod index;
mod network;
mod segments;
mod snapshots;
mod state_machine;
mod store;
mod types;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use openraft::error::{ClientWriteError, Fatal, RaftError};
use openraft::{BasicNode, Config, Raft, RaftMetrics, ServerState, SnapshotPolicy};
use ottla_core::metadata::{Entry, Image};
use ottla_core::{BrokerId, LogIndex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::info;

pub use segments::SegmentError;
pub use snapshots::SnapshotError;
pub use store::OpenError;
pub use types::VoterId;
pub use wire::DecodeError;

use self::network::NoPeers;
use self::snapshots::Snapshots;
use self::state_machine::StateMachine;
use self::store::Store;
use self::types::{Counted, Decided, Quorum};
use super::log::{MetadataLog, Outcome, ProposeError, Role};

/// A snapshot is taken each time this many entries have been applied since the last.
const ENTRIES_PER_SNAPSHOT: u64 = 2000;
/// One is also taken once so many bytes of entries were written since: a start has to read them all.
const BYTES_PER_SNAPSHOT: u64 = 16 << 20;
/// So many entries before the snapshot stay, for followers that are a little behind.
const ENTRIES_KEPT: u64 = 500;

/// What the log is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder, which it has for itself.
    pub folder: PathBuf,
    /// Who this node is.
    pub me: VoterId,
    /// `host:port` of this node's CONTROLLER listener, for its peers.
    pub address: String,
    /// Entries per snapshot; the default unless a test wants fewer.
    pub entries_per_snapshot: u64,
    /// Entries kept before a snapshot.
    pub entries_kept: u64,
}

impl Options {
    /// The usual options.
    pub fn new(folder: PathBuf, me: VoterId, address: String) -> Self {
        let (entries_per_snapshot, entries_kept) = (ENTRIES_PER_SNAPSHOT, ENTRIES_KEPT);
        Self { folder, me, address, entries_per_snapshot, entries_kept }
    }
}

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log on disk.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The snapshot on disk.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The disk holds the log of another voter: of another node, or of a directory that has been emptied since.
    #[error("the metadata log belongs to voter {found}, this is {expected}")]
    OtherVoter {
        /// Who this node is.
        expected: VoterId,
        /// Whose log it is.
        found: String,
    },
    /// Raft gave up.
    #[error("the metadata log cannot start: {0}")]
    Raft(String),
}

impl StartError {
    /// Whether a newer Ottla wrote what is on disk, so that this one must not touch it (exit code 3).
    pub fn is_from_a_newer_version(&self) -> bool {
        let contents = match self {
            Self::Log(OpenError::Contents(error)) | Self::Snapshot(SnapshotError::Contents(error)) => error,
            _ => return false,
        };
        matches!(contents, DecodeError::Metadata(ottla_core::metadata::DecodeError::UnknownKind))
    }
}

/// The metadata log of a quorum.
pub struct RaftLog {
    raft: Raft<Quorum>,
    committed: watch::Receiver<Arc<Image>>,
    role: watch::Receiver<Role>,
    tasks: [JoinHandle<()>; 2],
}

impl RaftLog {
    /// Opens the log, and founds a quorum of one if the folder is empty. Returns once there is a leader that may
    /// decide: this node.
    pub async fn start_alone(options: Options) -> Result<Self, StartError> {
        let store = Store::open(&options.folder)?;
        let (sender, committed) = watch::channel(Arc::new(Image::default()));
        let machine = StateMachine::load(Snapshots::new(&options.folder), sender)?;
        let config = Arc::new(config(&options).validate().map_err(|error| StartError::Raft(error.to_string()))?);
        let log_size = store.clone();
        let raft = Raft::new(options.me, config, NoPeers, store, machine).await;
        let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;
        let failed = |error: &dyn std::error::Error| StartError::Raft(error.to_string());
        let is_new = !raft.is_initialized().await.map_err(|error| failed(&error))?;
        if is_new {
            info!(voter = %options.me, "founding a metadata quorum of one");
            let members = BTreeMap::from([(options.me, BasicNode::new(&options.address))]);
            // This elects too; to ask again would cost a second term.
            raft.initialize(members).await.map_err(|error| failed(&error))?;
        }
        let metrics = raft.metrics();
        check_voter(&metrics.borrow(), options.me)?;
        if !is_new && metrics.borrow().state != ServerState::Leader {
            // The only voter need not wait for an election time-out.
            raft.trigger().elect().await.map_err(|error| failed(&error))?;
        }
        let (sender, role) = watch::channel(Role::Follower { leader: None });
        let tasks = [tokio::spawn(watch_role(metrics, sender)), tokio::spawn(watch_size(raft.clone(), log_size))];
        let mut log = Self { raft, committed, role, tasks };
        log.role.wait_for(|role| *role == Role::Leader).await.map_err(|error| failed(&error))?;
        Ok(log)
    }

    /// Takes a snapshot of at least what is applied now, and returns once it is on disk.
    pub async fn snapshot(&self) -> Result<(), ProposeError> {
        let stopped = |error: &dyn std::error::Error| ProposeError::Stopped(error.to_string());
        let mut metrics = self.raft.metrics();
        let wanted = metrics.borrow().last_applied;
        while metrics.borrow_and_update().snapshot < wanted {
            // Asking again while one is being taken does nothing.
            self.raft.trigger().snapshot().await.map_err(|error| stopped(&error))?;
            metrics.changed().await.map_err(|error| stopped(&error))?;
        }
        Ok(())
    }

    /// Resolves when the log has stopped, with the reason if it was not told to: the broker must then go down.
    pub async fn stopped(&self) -> Option<String> {
        let mut metrics = self.raft.metrics();
        let stopped = metrics.wait_for(|metrics| metrics.running_state.is_err()).await;
        let fatal = stopped.ok().and_then(|metrics| metrics.running_state.clone().err());
        fatal.filter(|fatal| !matches!(fatal, Fatal::Stopped)).map(|fatal| fatal.to_string())
    }

    /// Stops. What was proposed and not committed may or may not be committed after the next start.
    pub async fn shutdown(&self) {
        // An error means that it has stopped already.
        drop(self.raft.shutdown().await);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl MetadataLog for RaftLog {
    async fn propose(&self, entry: Entry) -> Result<Outcome, ProposeError> {
        match self.raft.client_write(Decided(Arc::new(entry))).await {
            Ok(response) => match response.data {
                Counted(true) => Ok(Outcome::Applied(LogIndex(response.log_id.index))),
                Counted(false) => Ok(Outcome::Skipped),
            },
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader { leader: forward.leader_id.map(|leader| leader.broker()) })
            }
            Err(error) => Err(ProposeError::Stopped(error.to_string())),
        }
    }

    fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    fn address_of(&self, broker: BrokerId) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let mut nodes = metrics.membership_config.membership().nodes();
        nodes.find(|(id, _)| id.broker() == broker).map(|(_, node)| node.addr.clone())
    }

    fn committed(&self) -> watch::Receiver<Arc<Image>> {
        self.committed.clone()
    }
}

type Metrics = RaftMetrics<VoterId, BasicNode>;

fn config(options: &Options) -> Config {
    Config {
        cluster_name: "ottla-metadata".to_owned(),
        heartbeat_interval: 50,
        election_timeout_min: 150,
        election_timeout_max: 300,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.entries_per_snapshot),
        max_in_snapshot_log_to_keep: options.entries_kept,
        replication_lag_threshold: options.entries_per_snapshot + options.entries_kept,
        ..Config::default()
    }
}

fn check_voter(metrics: &Metrics, me: VoterId) -> Result<(), StartError> {
    let membership = metrics.membership_config.membership();
    if membership.nodes().next().is_none() || membership.get_node(&me).is_some() {
        return Ok(());
    }
    let found: Vec<_> = membership.voter_ids().map(|voter| voter.to_string()).collect();
    Err(StartError::OtherVoter { expected: me, found: found.join(", ") })
}

/// Keeps `role` what it is, until Raft stops.
async fn watch_role(mut metrics: watch::Receiver<Metrics>, role: watch::Sender<Role>) {
    loop {
        let now = role_of(&metrics.borrow_and_update());
        role.send_if_modified(|role| std::mem::replace(role, now) != now);
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// Has a snapshot taken when the entries since the last are many bytes, however few they are.
async fn watch_size(raft: Raft<Quorum>, log: Store) {
    let mut metrics = raft.metrics();
    let mut at_last_snapshot = 0;
    while metrics.changed().await.is_ok() {
        metrics.mark_unchanged();
        let written = log.written_bytes();
        if written - at_last_snapshot > BYTES_PER_SNAPSHOT {
            at_last_snapshot = written;
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
    }
}

/// A leader may decide once it has applied an entry of its own: then it has applied all that were decided before.
fn role_of(metrics: &Metrics) -> Role {
    let leader_id = metrics.vote.leader_id;
    let has_applied_its_own = metrics.last_applied.is_some_and(|id| id.leader_id == leader_id);
    if metrics.state == ServerState::Leader && has_applied_its_own {
        return Role::Leader;
    }
    let known = metrics.current_leader.map(|leader| leader.broker());
    Role::Follower { leader: known.filter(|_| metrics.state != ServerState::Leader) }
}
