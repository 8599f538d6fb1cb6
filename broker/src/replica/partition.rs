//! One replica: its log, its role, and who waits for it.
//!
//! The lock is held for an append or a change of role, never across a wait. Reads do not take it: they look at the
//! published watermark and the log's own published end.

mod reading;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use ottla_core::partition::{self, Durability, Effect, Leader, LeaderTerm, LogPosition, RequiredAcks};
use ottla_core::{BrokerId, LeaderEpoch, Now, Offset, PartitionEpoch, TopicId, TopicPartition};
use ottla_storage::{AppendInfo, EpochEnd, FileSlice, Log, LogReader};
use parking_lot::{Mutex, MutexGuard};

use super::{Error, FetchWait, Outcome, ProduceWait, TopicSettings};
use crate::telemetry::TopicCounters;

/// Who this replica is at the moment.
enum Role {
    Leader(Box<Leader>),
    Follower { leader: BrokerId, epoch: LeaderEpoch },
}

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
    fetches: Mutex<Vec<(Arc<FetchWait>, usize)>>,
    counters: TopicCounters,
}

/// What a read may return.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Bytes of batches.
    pub max_bytes: usize,
    /// Return the first batch even if it is larger.
    pub at_least_one_batch: bool,
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
}

impl Partition {
    /// A replica over `log`, following nobody yet.
    pub(super) fn new(
        topic_id: TopicId,
        log: Log,
        settings: Arc<TopicSettings>,
        high_watermark: Offset,
        handle: u64,
        counters: TopicCounters,
    ) -> Self {
        let reader = log.reader();
        let high_watermark = high_watermark.min(reader.log_end()).max(reader.log_start());
        Self {
            id: log.partition().clone(),
            topic_id,
            handle,
            reader,
            leading: AtomicI32::new(LeaderEpoch::NONE.0),
            high_watermark: AtomicI64::new(high_watermark.0),
            inner: Mutex::new(Inner {
                log: Some(log),
                role: Role::Follower { leader: BrokerId::NONE, epoch: LeaderEpoch::NONE },
                settings,
                produces: VecDeque::new(),
                effects: Vec::new(),
            }),
            fetches: Mutex::default(),
            counters,
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

    /// Offset of the first record that consumers do not see. Without transactions also the last stable offset.
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
            Role::Follower { .. } => None,
        }
    }

    /// Checks that this broker leads, in the term that the client believes in; −1 if it does not say.
    pub fn check_leader(&self, given: LeaderEpoch) -> Result<LeaderEpoch, Error> {
        let Some(current) = self.leader_epoch() else { return Err(self.not_leader()) };
        partition::check_epoch(given, current)?;
        Ok(current)
    }

    /// The answer to a broker that takes itself for a follower of this partition and is none.
    pub fn not_replicated(&self) -> Error {
        self.not_leader()
    }

    fn not_leader(&self) -> Error {
        // Who leads instead will be known when the controller has heard of the failure.
        if let Err(error) = self.reader.check_online() {
            return error.into();
        }
        match &self.inner.lock().role {
            Role::Follower { leader, epoch } => Error::NotLeader { leader: *leader, epoch: *epoch },
            Role::Leader(leader) => {
                Error::NotLeader { leader: leader.term().leader, epoch: leader.term().leader_epoch }
            }
        }
    }

    /// Appends one checked batch as the leader. With `wait`, the reply is due when the watermark has passed the batch:
    /// the place of the wait ends then.
    pub fn append(
        &self,
        batch: &[u8],
        acks: RequiredAcks,
        wait: Option<(&Arc<ProduceWait>, usize)>,
        now: Now,
    ) -> Result<AppendInfo, Error> {
        let mut inner = self.inner.lock();
        let Inner { log: Some(log), role: Role::Leader(leader), .. } = &mut *inner else {
            drop(inner);
            return Err(self.not_leader());
        };
        leader.check_append(acks)?;
        let info = log.append_as_leader(batch, leader.term().leader_epoch, now)?;
        if !info.duplicate {
            self.appended(&mut inner, info.log_end);
            self.counters.messages_in.inc_by((info.last_offset.0 - info.base_offset.0 + 1).unsigned_abs());
            self.counters.bytes_in.inc_by(batch.len() as u64);
        }
        if let Some((wait, place)) = wait {
            // A duplicate waits too: the first one's flush may still be under way.
            self.park(&mut inner, info.last_offset.plus(1), wait, place);
        }
        self.perform(inner);
        Ok(info)
    }

    /// Tells the machine of a grown log and asks for the flush that the topic's durability wants.
    fn appended(&self, inner: &mut Inner, log_end: Offset) {
        let Inner { log: Some(log), role: Role::Leader(leader), effects, settings, .. } = inner else { return };
        leader.appended(log_end, effects);
        if settings.partition.durability == Durability::Fsync {
            log.request_flush();
        }
    }

    fn park(&self, inner: &mut Inner, upto: Offset, wait: &Arc<ProduceWait>, place: usize) {
        let Role::Leader(leader) = &inner.role else { return };
        wait.begin(place);
        if leader.high_watermark() >= upto {
            wait.end(place, Outcome::Committed);
        } else {
            inner.produces.push_back(WaitingProduce { upto, wait: Arc::clone(wait), place });
        }
    }

    /// The flusher has made everything below `upto` durable.
    pub(super) fn flushed(&self, upto: Offset) {
        let mut inner = self.inner.lock();
        let Inner { role, effects, .. } = &mut *inner;
        if let Role::Leader(leader) = role {
            leader.flushed(upto, effects);
        }
        self.perform(inner);
    }

    /// Performs what the machine asked for. Waiters are woken after the lock is released: they will want it.
    fn perform(&self, mut inner: MutexGuard<'_, Inner>) {
        if inner.effects.is_empty() {
            return;
        }
        let mut ended = Vec::new();
        let mut wake_fetches = false;
        let mut effects = std::mem::take(&mut inner.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::AdvanceHighWatermark { to } => {
                    self.high_watermark.store(to.0, Ordering::Release);
                    wake_fetches = true;
                    while inner.produces.front().is_some_and(|w| w.upto <= to) {
                        ended.extend(inner.produces.pop_front().map(|w| (w, Outcome::Committed)));
                    }
                }
                Effect::WakeFollowers { .. } => wake_fetches = true,
                Effect::FailProduces => {
                    wake_fetches = true;
                    ended.extend(inner.produces.drain(..).map(|w| (w, Outcome::NotLeader)));
                }
                // One replica a partition: there is nobody to admit or to drop.
                Effect::ProposeIsr(proposal) => {
                    tracing::warn!(partition = %self.id, ?proposal, "isr proposals are not sent yet");
                }
            }
        }
        inner.effects = effects;
        drop(inner);
        for (waiting, outcome) in ended {
            waiting.wait.end(waiting.place, outcome);
        }
        if wake_fetches {
            self.wake_fetches();
        }
    }

    fn wake_fetches(&self) {
        let waiting = std::mem::take(&mut *self.fetches.lock());
        for (fetch, place) in waiting {
            fetch.notify(place);
        }
    }

    /// Has `fetch` told at the next move of the watermark or change of role. The caller looks again afterwards, lest it
    /// miss a move in between.
    pub fn park_fetch(&self, fetch: &Arc<FetchWait>, place: usize) {
        self.fetches.lock().push((Arc::clone(fetch), place));
    }

    /// Takes back [`Partition::park_fetch`].
    pub fn unpark_fetch(&self, fetch: &Arc<FetchWait>) {
        self.fetches.lock().retain(|(waiting, _)| !Arc::ptr_eq(waiting, fetch));
    }

    /// Leads from now on, or goes on leading with a new state of the same term.
    pub(super) fn lead(&self, term: LeaderTerm, settings: Arc<TopicSettings>, now: Now) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        let Inner { log, role, effects, settings: current, .. } = &mut *inner;
        let Some(log) = log else { return Err(Error::UnknownPartition) };
        *current = settings;
        let leading = match role {
            Role::Leader(leader) if leader.term().leader_epoch == term.leader_epoch => {
                let LeaderTerm { partition_epoch, replicas, isr, .. } = term;
                leader.state_committed(now.monotonic, partition_epoch, replicas, isr, effects);
                None
            }
            _ => {
                let epoch = term.leader_epoch;
                log.begin_epoch(epoch)?;
                let local = LogPosition { end: log.log_end(), flushed: log.flushed() };
                let (settings, high_watermark) = (current.partition, self.high_watermark());
                let leader = Leader::new(now.monotonic, term, settings, local, high_watermark, effects);
                *role = Role::Leader(Box::new(leader));
                // What an unclean stop left unflushed is committed only when it is on the disk.
                if settings.durability == Durability::Fsync && local.flushed < local.end {
                    log.request_flush();
                }
                Some(epoch)
            }
        };
        if let Some(epoch) = leading {
            self.leading.store(epoch.0, Ordering::Release);
        }
        self.perform(inner);
        Ok(())
    }

    /// Leads no more; `leader` does, or nobody.
    pub(super) fn follow(&self, leader: BrokerId, epoch: LeaderEpoch) {
        let mut inner = self.inner.lock();
        self.leading.store(LeaderEpoch::NONE.0, Ordering::Release);
        let Inner { role, effects, .. } = &mut *inner;
        if let Role::Leader(machine) = std::mem::replace(role, Role::Follower { leader, epoch }) {
            machine.resign(effects);
        }
        self.perform(inner);
    }

    /// The topic's settings changed.
    pub(super) fn reconfigure(&self, settings: Arc<TopicSettings>) {
        let mut inner = self.inner.lock();
        let Inner { log, role, effects, settings: current, .. } = &mut *inner;
        if let Some(log) = log {
            log.set_config(Arc::clone(&settings.log));
            if settings.partition.durability == Durability::Fsync {
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
        self.wake_fetches();
    }

    /// Runs `work` on the log under the lock, unless it has been taken.
    pub(super) fn with_log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> Option<T> {
        self.inner.lock().log.as_mut().map(work)
    }

    /// Takes the log away: to delete or to close it. Nothing can be appended afterwards, and who waits is told.
    pub(super) fn take_log(&self) -> Option<Log> {
        self.follow(BrokerId::NONE, LeaderEpoch::NONE);
        self.inner.lock().log.take()
    }

    /// The partition's state version, for tests of the manager.
    pub fn partition_epoch(&self) -> Option<PartitionEpoch> {
        match &self.inner.lock().role {
            Role::Leader(leader) => Some(leader.term().partition_epoch),
            Role::Follower { .. } => None,
        }
    }
}
