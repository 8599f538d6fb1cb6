//! The metadata log as a Raft of openraft: durable log, vote and snapshots in one folder, and who leads.
//!
//! Nothing outside this folder knows of openraft; the broker sees [`MetadataLog`]. Here is no rule of the controller.

// openraft's StorageError is large, and what its traits return.
#![allow(clippy::result_large_err)]

mod admittance;
mod contact;
mod description;
mod door;
mod elector;
mod entrance;
mod frame;
mod handover;
mod index;
mod membership;
mod network;
mod roles;
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
use std::time::Duration;

use openraft::error::{ClientWriteError, Fatal, RaftError};
use openraft::{BasicNode, Config, Raft, RaftMetrics, SnapshotPolicy};
use ottla_core::metadata::{Entry, Image};
use ottla_core::{BrokerId, LogIndex};
use parking_lot::Mutex;
use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;
use tracing::info;

pub use door::Door;
pub use entrance::{Entrance, Newcomer, Refusal, Way, find, has_log};
pub use membership::{ChangeError, Member, Members};
pub use segments::SegmentError;
pub use snapshots::SnapshotError;
pub use store::OpenError;
pub use types::VoterId;
pub use wire::DecodeError;

use self::admittance::{Admission, Admittance, Passport};
use self::contact::Contact;
use self::elector::Elector;
use self::network::{Acks, Network};
use self::snapshots::Snapshots;
use self::state_machine::StateMachine;
use self::store::Store;
use self::types::{Counted, Decided, Quorum, Vote};
use super::log::{MetadataLog, Outcome, ProposeError, Role};
use super::peers::Peers;

/// A snapshot is taken each time this many entries have been applied since the last.
const ENTRIES_PER_SNAPSHOT: u64 = 2000;
/// One is also taken once so many bytes of entries were written since: a start has to read them all.
const BYTES_PER_SNAPSHOT: u64 = 16 << 20;
/// So many entries before the snapshot stay, for followers that are a little behind.
const ENTRIES_KEPT: u64 = 500;
/// How long a request to a follower may take, which a slow disk there must not exceed again and again; openraft beats
/// half as often again as seldom as this. A voter is bound to a leader for about as long after each beat, and that, not
/// the detection of a dead leader, is most of what an election takes.
const BEAT: Duration = Duration::from_millis(200);
/// openraft wants its time-outs to differ.
const LEASE: Duration = Duration::from_millis(202);
/// Bytes of a snapshot in one request.
const SNAPSHOT_PIECE: u64 = 1 << 20;
/// How long a follower may take for a piece; with the last it decodes and flushes the whole.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// The file that says whose log it is.
    #[error("the metadata log in {}: {source}", folder.display())]
    Passport {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
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
        contents.is_from_a_newer_version()
    }
}

/// The metadata log of a quorum.
pub struct RaftLog {
    me: VoterId,
    raft: Raft<Quorum>,
    store: Store,
    committed: watch::Receiver<Arc<Image>>,
    role: watch::Receiver<Role>,
    contact: Arc<Contact>,
    acks: Acks,
    peers: Peers,
    admission: watch::Receiver<Admission>,
    /// Held for writing while nothing may be proposed, since another is to take over the lead.
    gate: RwLock<()>,
    /// Set once something came that only a newer Ottla understands.
    left_behind: watch::Sender<bool>,
    /// The membership is changed by one at a time.
    change: tokio::sync::Mutex<()>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl RaftLog {
    /// Opens the log, and begins a quorum of one if it is empty and the entrance says so. Does not wait for a leader.
    pub async fn start(options: Options, entrance: Entrance, peers: Peers) -> Result<Arc<Self>, StartError> {
        let store = Store::open(&options.folder)?;
        let (sender, committed) = watch::channel(Arc::new(Image::default()));
        let machine = StateMachine::load(Snapshots::new(&options.folder), sender)?;
        let passport = passport(&options, &entrance)?;
        let config = Arc::new(config(&options).validate().map_err(|error| StartError::Raft(error.to_string()))?);
        let (acks, contact) = (Acks::default(), Arc::new(Contact::new(LEASE)));
        let network = Network { peers: peers.clone(), acks: acks.clone() };
        let failed = |error: &dyn std::error::Error| StartError::Raft(error.to_string());
        let raft = Raft::new(options.me, config, network, store.clone(), machine).await;
        let raft = raft.map_err(|error| failed(&error))?;
        if entrance.way == Way::Found && !raft.is_initialized().await.map_err(|error| failed(&error))? {
            info!(voter = %options.me, "founding a metadata quorum");
            let members = BTreeMap::from([(options.me, BasicNode::new(&options.address))]);
            // This elects too; to ask again would cost a second term.
            raft.initialize(members).await.map_err(|error| failed(&error))?;
        }
        let (role_sender, role) = watch::channel(Role::Follower { leader: None });
        let (told, admission) = watch::channel(None);
        let elector = Elector {
            raft: raft.clone(),
            store: store.clone(),
            me: options.me,
            contact: Arc::clone(&contact),
            peers: peers.clone(),
        };
        let tasks = Mutex::new(vec![
            tokio::spawn(roles::watch(raft.metrics(), Arc::clone(&contact), role_sender)),
            tokio::spawn(watch_size(raft.clone(), store.clone())),
            tokio::spawn(elector.run()),
            tokio::spawn({
                let (contact, raft, peers) = (Arc::clone(&contact), raft.clone(), peers.clone());
                async move { contact.watch(raft, options.me, peers).await }
            }),
        ]);
        let change = tokio::sync::Mutex::default();
        let log = Arc::new(Self {
            me: options.me,
            raft,
            store,
            committed,
            role,
            contact,
            acks,
            peers: peers.clone(),
            admission,
            gate: RwLock::default(),
            left_behind: watch::Sender::new(false),
            change,
            tasks,
        });
        let admittance = Admittance { peers, me: options.me, address: options.address, entrance, passport, told };
        let admitting = tokio::spawn(admittance.run(Arc::downgrade(&log)));
        log.tasks.lock().push(admitting);
        Ok(log)
    }

    /// The log of a cluster of one: returns once this node leads it.
    pub async fn start_alone(options: Options) -> Result<Arc<Self>, StartError> {
        let log = Self::start(options, Entrance::alone(String::new()), Peers::new(None)).await?;
        let mut role = log.role();
        let led = role.wait_for(|role| *role == Role::Leader).await;
        led.map_err(|error| StartError::Raft(error.to_string()))?;
        Ok(log)
    }

    /// Who this node is in the quorum.
    pub fn me(&self) -> VoterId {
        self.me
    }

    /// Resolves once the leader knows this node as what it should be, or sends it away.
    pub async fn admitted(&self) -> Result<(), Refusal> {
        let mut admission = self.admission.clone();
        match admission.wait_for(Option::is_some).await {
            Ok(told) => told.clone().unwrap_or(Ok(())),
            // The log has been shut down.
            Err(_) => Ok(()),
        }
    }

    /// Resolves when the leader sends this node away: another disk has taken its place.
    pub async fn sent_away(&self) -> Refusal {
        let mut admission = self.admission.clone();
        let mut left_behind = self.left_behind.subscribe();
        let told = async { admission.wait_for(|told| matches!(told, Some(Err(_)))).await.map(|told| told.clone()) };
        let behind = async { left_behind.wait_for(|left_behind| *left_behind).await.is_ok() };
        tokio::select! {
            told = told => match told {
                Ok(Some(Err(refusal))) => refusal,
                _ => std::future::pending().await,
            },
            true = behind => Refusal::LeftBehind,
            else => std::future::pending().await,
        }
    }

    /// Something came that cannot be read. What a newer Ottla wrote this broker must not guess at.
    fn cannot_read(&self, error: &DecodeError) {
        if error.is_from_a_newer_version() {
            self.left_behind.send_replace(true);
        }
    }

    /// Something came from a node that leads by `vote`.
    fn hears(&self, vote: &Vote) {
        if *vote >= self.raft.metrics().borrow().vote {
            self.contact.heard();
        }
    }

    fn hears_leader(&self) -> bool {
        let leader = self.raft.metrics().borrow().current_leader;
        self.contact.is_there(leader)
    }

    /// Whether nothing was ever written to it.
    fn is_empty(&self) -> bool {
        self.store.last().is_none()
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
        self.tasks.lock().iter().for_each(JoinHandle::abort);
    }
}

impl MetadataLog for RaftLog {
    async fn propose(&self, entry: Entry) -> Result<Outcome, ProposeError> {
        let _open = self.gate.read().await;
        let written = roles::while_leading(self.raft.client_write(Decided(Arc::new(entry))), self.role()).await;
        match written.ok_or(ProposeError::NotLeader { leader: None })? {
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
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "ottla-metadata".to_owned(),
        heartbeat_interval: millis(BEAT),
        election_timeout_min: millis(BEAT) + 1,
        election_timeout_max: millis(LEASE),
        // The elector knows better.
        enable_elect: false,
        install_snapshot_timeout: millis(SNAPSHOT_TIMEOUT),
        snapshot_max_chunk_size: SNAPSHOT_PIECE,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.entries_per_snapshot),
        max_in_snapshot_log_to_keep: options.entries_kept,
        replication_lag_threshold: options.entries_per_snapshot + options.entries_kept,
        ..Config::default()
    }
}

fn passport(options: &Options, entrance: &Entrance) -> Result<Passport, StartError> {
    let other = |found| StartError::OtherVoter { expected: options.me, found };
    let passport = Passport::read(&options.folder, options.me).map_err(other)?;
    if entrance.way != Way::Resume {
        let io = |source| StartError::Passport { folder: options.folder.clone(), source };
        passport.write(options.me, entrance.way == Way::Found || passport.joined).map_err(io)?;
    }
    Ok(passport)
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
