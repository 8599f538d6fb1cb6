//! One replica: its log, its role, and who waits for it.
//!
//! The lock is held for an append or a change of role, never across a wait. Reads do not take it: they look at the
//! published watermark and the log's own published end.

mod following;
mod leading;
mod reading;
mod relocate;
mod transactions;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use ottla_core::partition::{self, Durability, Effect, Follower, FollowerTerm, Leader};
use ottla_core::{BrokerId, LeaderEpoch, Offset, PartitionEpoch, TopicId, TopicPartition};
use ottla_storage::{AbortedTransaction, EpochEnd, FileSlice, Log, LogReader};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::fetcher::Followed;
use super::isr::Proposals;
use super::watch::Watches;
use super::{Error, FetchWait, Outcome, ProduceWait, Throttles, TopicSettings};
use crate::telemetry::TopicCounters;

pub use following::Fetched;
pub use leading::FollowerRead;

/// Who this replica is at the moment.
enum Role {
    Leader(Box<Leader>),
    Follower(Box<Follower>),
}

/// Fetches of consumers that wait, each with the place of this partition in it.
type Waiting = Mutex<Vec<(Arc<FetchWait>, usize)>>;

/// A batch whose reply waits for the watermark.
struct WaitingProduce {
    upto: Offset,
    wait: Arc<ProduceWait>,
    place: usize,
}

pub(super) struct Inner {
    /// None once the replica is deleted or closed.
    pub(super) log: Option<Log>,
    role: Role,
    settings: Arc<TopicSettings>,
    produces: VecDeque<WaitingProduce>,
    effects: Vec<Effect>,
    /// Brokers to which a reassignment brings a copy.
    adding: Vec<BrokerId>,
}

/// A replica of a partition on this broker.
pub struct Partition {
    id: TopicPartition,
    topic_id: TopicId,
    /// Under which the flusher reports the log.
    handle: u64,
    reader: LogReader,
    /// Epoch of the term this broker leads in; −1 while it does not lead.
    leading: AtomicI32,
    high_watermark: AtomicI64,
    inner: Mutex<Inner>,
    consumers: Waiting,
    followers: Watches,
    /// Told when a follower's log has another start, or this broker leads no more.
    log_starts: Notify,
    /// Where this replica is fetched for while it follows.
    fetcher: Mutex<Weak<Followed>>,
    proposals: Arc<Proposals>,
    throttles: Arc<Throttles>,
    counters: TopicCounters,
}

/// What a partition tells of, and counts at.
pub(super) struct Links {
    pub(super) proposals: Arc<Proposals>,
    pub(super) throttles: Arc<Throttles>,
    pub(super) counters: TopicCounters,
}

/// What a read may return.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Bytes of batches.
    pub max_bytes: usize,
    /// Return the first batch even if it is larger.
    pub at_least_one_batch: bool,
}

/// What kind of consumer reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consumer {
    /// It may be served by a follower (KIP-392).
    pub from_follower: bool,
    /// It wants nothing of transactions that are open, and is to be told of those that were aborted.
    pub read_committed: bool,
}

/// What a read found.
#[derive(Clone, Debug)]
pub struct Read {
    /// Offset of the first record that consumers do not see.
    pub high_watermark: Offset,
    /// The first offset that may be read.
    pub log_start: Offset,
    /// Whole batches; none if there is nothing yet.
    pub records: Option<FileSlice>,
    /// The reader's log differs from this one: where its last epoch ends here (KIP-595).
    pub diverging: Option<EpochEnd>,
    /// A replica nearer to the consumer, which it should read from instead (KIP-392).
    pub preferred: Option<BrokerId>,
    /// What counted as the end for this reader: the watermark, for a follower the log end, for a reader of committed
    /// transactions the last stable offset.
    pub end: Offset,
    /// For a reader of committed transactions: those that were aborted of what was read.
    pub aborted: Vec<AbortedTransaction>,
    /// The bytes count towards the leader's replication throttle.
    pub is_throttled: bool,
}

impl Partition {
    /// A replica over `log`, following nobody yet.
    pub(super) fn new(
        topic_id: TopicId,
        log: Log,
        settings: Arc<TopicSettings>,
        high_watermark: Offset,
        handle: u64,
        links: Links,
    ) -> Self {
        let reader = log.reader();
        let high_watermark = high_watermark.min(reader.log_end()).max(reader.log_start());
        let nobody = FollowerTerm { leader: BrokerId::NONE, leader_epoch: LeaderEpoch::NONE };
        let role = Role::Follower(Box::new(Follower::new(nobody, following::tail(&log), high_watermark)));
        Self {
            id: log.partition().clone(),
            topic_id,
            handle,
            reader,
            leading: AtomicI32::new(LeaderEpoch::NONE.0),
            high_watermark: AtomicI64::new(high_watermark.0),
            inner: Mutex::new(Inner {
                log: Some(log),
                role,
                settings,
                produces: VecDeque::new(),
                effects: Vec::new(),
                adding: Vec::new(),
            }),
            consumers: Mutex::default(),
            followers: Watches::default(),
            log_starts: Notify::new(),
            fetcher: Mutex::default(),
            proposals: links.proposals,
            throttles: links.throttles,
            counters: links.counters,
        }
    }

    /// A reassignment brings copies to the brokers `adding`, or none does any more.
    pub(super) fn set_adding(&self, adding: &[BrokerId]) {
        let mut inner = self.inner.lock();
        if inner.adding != adding {
            inner.adding = adding.to_vec();
        }
    }

    /// Topic and index.
    pub fn id(&self) -> &TopicPartition {
        &self.id
    }

    /// Identity of the topic.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// Under which the flusher reports the log.
    pub(super) fn handle(&self) -> u64 {
        self.handle
    }

    /// What is counted of its topic.
    pub fn counters(&self) -> &TopicCounters {
        &self.counters
    }

    /// The log, for reading.
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// Offset of the first record that consumers do not see.
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// The term this broker leads in, if it does.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        let epoch = LeaderEpoch(self.leading.load(Ordering::Acquire));
        (epoch != LeaderEpoch::NONE).then_some(epoch)
    }

    /// Size of the in-sync set, `min.insync.replicas` and number of replicas, if this broker leads.
    pub fn isr_state(&self) -> Option<(usize, usize, usize)> {
        match &self.inner.lock().role {
            Role::Leader(leader) => {
                let term = leader.term();
                Some((term.isr.len(), leader.min_isr(), term.replicas.len()))
            }
            Role::Follower(_) => None,
        }
    }

    /// Checks that this broker leads, in the term that the client believes in; −1 if it does not say.
    pub fn check_leader(&self, given: LeaderEpoch) -> Result<LeaderEpoch, Error> {
        let Some(current) = self.leader_epoch() else { return Err(self.not_leader()) };
        partition::check_epoch(given, current)?;
        Ok(current)
    }

    fn not_leader(&self) -> Error {
        // Who leads instead will be known when the controller has heard of the failure.
        if let Err(error) = self.reader.check_online() {
            return error.into();
        }
        not_leader(&self.inner.lock().role)
    }

    /// The topic's settings changed.
    pub(super) fn reconfigure(&self, settings: Arc<TopicSettings>) {
        let mut inner = self.inner.lock();
        let Inner { log, role, effects, settings: current, .. } = &mut *inner;
        if let Some(log) = log {
            log.set_config(Arc::clone(&settings.log));
            if matches!(role, Role::Follower(_)) && settings.partition.durability == Durability::Fsync {
                log.request_flush();
            }
        }
        if let Role::Leader(leader) = role {
            leader.reconfigured(settings.partition, effects);
        }
        *current = settings;
        self.perform(inner);
    }

    /// The log's directory failed: what waits for a flush waits in vain.
    pub(super) fn storage_failed(&self) {
        let waiting: Vec<WaitingProduce> = self.inner.lock().produces.drain(..).collect();
        for produce in waiting {
            produce.wait.end(produce.place, Outcome::StorageFailed);
        }
        self.stop_following();
        self.wake_consumers();
        self.followers.notify();
    }

    /// Runs `work` on the log under the lock, unless it has been taken.
    pub(super) fn with_log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> Option<T> {
        self.inner.lock().log.as_mut().map(work)
    }

    /// Takes the log away: to delete or to close it. Nothing can be appended afterwards, and who waits is told.
    pub(super) fn take_log(&self) -> Option<Log> {
        self.follow(FollowerTerm { leader: BrokerId::NONE, leader_epoch: LeaderEpoch::NONE });
        self.inner.lock().log.take()
    }

    /// The partition's state version, for tests of the manager.
    pub fn partition_epoch(&self) -> Option<PartitionEpoch> {
        match &self.inner.lock().role {
            Role::Leader(leader) => Some(leader.term().partition_epoch),
            Role::Follower(_) => None,
        }
    }
}

fn not_leader(role: &Role) -> Error {
    let (leader, epoch) = match role {
        Role::Follower(follower) => (follower.term().leader, follower.term().leader_epoch),
        Role::Leader(leader) => (leader.term().leader, leader.term().leader_epoch),
    };
    Error::NotLeader { leader, epoch }
}
