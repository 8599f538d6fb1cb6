//! Leading: appends, what followers fetch, and the performance of what the machine asks for.
//!
//! Effects are performed under the lock; whoever waits is woken after it is released, since they will want it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_core::coordinator::InTransaction;
use ottla_core::partition::{
    Effect, FollowerFetch, IsrProposal, Leader, LeaderTerm, LogPosition, RequiredAcks, check_epoch,
};
use ottla_core::{BrokerEpoch, BrokerId, LeaderEpoch, Now, Offset, PartitionEpoch};
use ottla_records::BatchHeader;
use ottla_storage::AppendInfo;
use parking_lot::MutexGuard;

use super::{Consumer, Inner, Partition, Read, ReadLimits, Role, WaitingProduce, not_leader};
use crate::replica::{Error, FetchWait, FollowerWatch, Outcome, ProduceWait, TopicSettings};

/// A fetch of a follower.
#[derive(Clone, Copy, Debug)]
pub struct FollowerRead {
    /// The follower.
    pub broker: BrokerId,
    /// Its uptime; -1 if it does not say.
    pub broker_epoch: BrokerEpoch,
    /// Whether the follower has just said where it stands; else it is what it said before.
    pub is_news: bool,
    /// Its log end.
    pub offset: Offset,
    /// What it holds on the disk.
    pub flushed: Offset,
    /// Where its log starts.
    pub log_start: Offset,
    /// The term it follows in; -1 if it does not say.
    pub current_epoch: LeaderEpoch,
    /// The epoch of its last record; -1 if it has none.
    pub last_fetched_epoch: LeaderEpoch,
}

impl Partition {
    /// Appends one checked batch as the leader, as part of `transaction` if it is of one. With `wait`, the reply is due
    /// when the watermark has passed the batch: the place of the wait ends then.
    pub fn append(
        &self,
        batch: &[u8],
        transaction: Option<InTransaction>,
        acks: RequiredAcks,
        wait: Option<(&Arc<ProduceWait>, usize)>,
        now: Now,
    ) -> Result<AppendInfo, Error> {
        let mut inner = self.inner.lock();
        let Inner { log: Some(log), role: Role::Leader(leader), effects, .. } = &mut *inner else {
            return Err(not_leader(&inner.role));
        };
        leader.check_append(acks)?;
        if let Some(InTransaction { verified, .. }) = transaction {
            let header = BatchHeader::parse(batch).map_err(ottla_storage::Error::from)?;
            log.check_verified(&header, verified)?;
        }
        let info = log.append_as_leader(batch, leader.term().leader_epoch, now)?;
        if !info.duplicate {
            leader.appended(info.log_end, effects);
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

    pub(super) fn park(&self, inner: &mut Inner, upto: Offset, wait: &Arc<ProduceWait>, place: usize) {
        let Role::Leader(leader) = &inner.role else { return };
        wait.begin(place);
        if leader.high_watermark() >= upto {
            wait.end(place, Outcome::Committed);
        } else {
            inner.produces.push_back(WaitingProduce { upto, wait: Arc::clone(wait), place });
        }
    }

    /// The flusher has been at the log. What counts is what the log says now: a cut may have come between.
    pub(in crate::replica) fn flushed(&self) {
        let mut inner = self.inner.lock();
        let Inner { role, effects, log: Some(log), .. } = &mut *inner else { return };
        match role {
            Role::Leader(leader) => {
                leader.flushed(log.flushed(), effects);
                self.perform(inner);
            }
            Role::Follower(follower) => {
                let mut effects = Vec::new();
                follower.flushed(log.flushed(), &mut effects);
                drop(inner);
                if !effects.is_empty() {
                    self.tell_fetcher();
                }
            }
        }
    }

    /// Performs what the machine asked for.
    pub(super) fn perform(&self, mut inner: MutexGuard<'_, Inner>) {
        if inner.effects.is_empty() {
            return;
        }
        let mut ended = Vec::new();
        let (mut committed, mut appended) = (false, false);
        let mut effects = std::mem::take(&mut inner.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::AdvanceHighWatermark { to } => {
                    self.high_watermark.store(to.0, Ordering::Release);
                    committed = true;
                    while inner.produces.front().is_some_and(|w| w.upto <= to) {
                        ended.extend(inner.produces.pop_front().map(|w| (w, Outcome::Committed)));
                    }
                }
                Effect::WakeFollowers { .. } => appended = true,
                Effect::Flush => {
                    if let Some(log) = &mut inner.log {
                        log.request_flush();
                    }
                }
                Effect::FailProduces => {
                    (committed, appended) = (true, true);
                    ended.extend(inner.produces.drain(..).map(|w| (w, Outcome::NotLeader)));
                }
                Effect::ProposeIsr(proposal) => self.proposals.put(self.handle, proposal),
            }
        }
        inner.effects = effects;
        drop(inner);
        for (waiting, outcome) in ended {
            waiting.wait.end(waiting.place, outcome);
        }
        if appended {
            self.followers.notify();
        }
        if committed {
            self.wake_consumers();
        }
    }

    /// Wakes the consumers that wait for the watermark, or another role; followers are to hear of it too, when it suits.
    pub(super) fn wake_consumers(&self) {
        let waiting = std::mem::take(&mut *self.consumers.lock());
        for (fetch, place) in waiting {
            fetch.notify(place);
        }
        self.hint_followers();
    }

    /// There is something to tell followers that need not be told at once.
    pub(super) fn hint_followers(&self) {
        self.followers.hint();
    }

    /// Has `fetch` told at the next move of the watermark, or change of role. The caller looks again afterwards, lest it
    /// miss a move in between.
    pub fn park_fetch(&self, fetch: &Arc<FetchWait>, place: usize) {
        self.consumers.lock().push((Arc::clone(fetch), place));
    }

    /// Takes back [`Partition::park_fetch`].
    pub fn unpark_fetch(&self, fetch: &Arc<FetchWait>) {
        self.consumers.lock().retain(|(waiting, _)| !Arc::ptr_eq(waiting, fetch));
    }

    /// Where records end for `consumer`.
    pub fn end_for(&self, consumer: Consumer) -> Offset {
        let stable = if consumer.read_committed { self.last_stable().ok() } else { None };
        // What cannot be asked for now has not moved.
        stable.unwrap_or_else(|| self.high_watermark())
    }

    /// Has `watch` told of the next append, move of the watermark or change of role: of `place`. The caller looks
    /// afterwards.
    pub fn watch(&self, watch: &Arc<FollowerWatch>, place: u32) {
        self.followers.register(watch, place);
    }

    /// Reads for a follower, to the log end, and takes note of where it stands. A broker that holds no replica is
    /// answered as by Kafka: with UNKNOWN_LEADER_EPOCH, since its image may be newer than this broker's.
    pub fn read_as_follower(&self, fetch: &FollowerRead, limits: ReadLimits, now: Now) -> Result<Read, Error> {
        let mut inner = self.inner.lock();
        let Inner { log: Some(log), role: Role::Leader(leader), effects, settings, adding, .. } = &mut *inner else {
            return Err(not_leader(&inner.role));
        };
        let is_moving = adding.contains(&fetch.broker) && self.throttles.limit_moves();
        let current = leader.term().leader_epoch;
        check_epoch(fetch.current_epoch, current)?;
        if leader.progress(fetch.broker).is_none() {
            return Err(match fetch.current_epoch {
                LeaderEpoch::NONE => not_leader(&inner.role),
                epoch => Error::NotReplica { broker: fetch.broker, epoch },
            });
        }
        let mut read = Read {
            high_watermark: leader.high_watermark(),
            log_start: log.log_start(),
            records: None,
            diverging: None,
            preferred: None,
            end: log.log_end(),
            aborted: Vec::new(),
            is_throttled: (is_moving || settings.throttled_leaders.contains(self.id.partition, leader.term().leader))
                && !leader.term().isr.contains(&fetch.broker),
        };
        if fetch.last_fetched_epoch != LeaderEpoch::NONE {
            let found = if fetch.last_fetched_epoch == current {
                Some(super::EpochEnd { epoch: current, end: log.log_end() })
            } else {
                log.end_offset_for_epoch(fetch.last_fetched_epoch)
            };
            let (start, end) = (read.log_start, read.end);
            let found = found.ok_or(Error::OffsetOutOfRange { requested: fetch.offset, start, end })?;
            if found.epoch < fetch.last_fetched_epoch || found.end < fetch.offset {
                return Ok(Read { diverging: Some(found), ..read });
            }
        }
        if fetch.offset < read.log_start || fetch.offset > read.end {
            let (start, end) = (read.log_start, read.end);
            return Err(Error::OffsetOutOfRange { requested: fetch.offset, start, end });
        }
        if fetch.is_news {
            let position = LogPosition { end: fetch.offset, flushed: fetch.flushed.min(fetch.offset) };
            let FollowerRead { broker, broker_epoch, log_start, .. } = *fetch;
            let before = leader.log_start_of(broker);
            let fetched = FollowerFetch { broker, broker_epoch, position, log_start };
            leader.follower_fetched(now.monotonic, &fetched, effects);
            if leader.log_start_of(broker) != before {
                self.log_starts.notify_waiters();
            }
            read.high_watermark = leader.high_watermark();
        }
        let is_held_back = read.is_throttled && self.throttles.leader.closed_until(now).is_some();
        let gives = !is_held_back && (limits.max_bytes > 0 || limits.at_least_one_batch);
        if gives && fetch.offset < read.end {
            leader.gives(fetch.broker, effects);
        }
        self.perform(inner);
        if gives {
            read.records = self.reader.read(fetch.offset, limits.max_bytes, read.end, limits.at_least_one_batch)?;
        }
        Ok(read)
    }

    /// Time has passed: looks for followers that lag.
    pub(in crate::replica) fn tick(&self, now: Now, max_lag: std::time::Duration) {
        if self.leader_epoch().is_none() {
            return;
        }
        let mut inner = self.inner.lock();
        let Inner { role: Role::Leader(leader), effects, .. } = &mut *inner else { return };
        leader.tick(now.monotonic, max_lag, effects);
        self.perform(inner);
    }

    /// The controller will not carry out `proposal`, or has and found nothing to change in the state of `settled`.
    pub(in crate::replica) fn proposal_refused(
        &self,
        proposal: &IsrProposal,
        settled: Option<PartitionEpoch>,
        now: Now,
    ) {
        let mut inner = self.inner.lock();
        let Inner { role: Role::Leader(leader), effects, .. } = &mut *inner else { return };
        // A state that is not here yet ends the proposal when it comes; until then its members count.
        let is_here = settled.is_none_or(|epoch| epoch <= leader.term().partition_epoch);
        if is_here && leader.proposal() == Some(proposal) {
            leader.proposal_refused(now.monotonic, effects);
        }
        self.perform(inner);
    }

    /// Whether `proposal` still waits for its answer.
    pub(in crate::replica) fn is_proposed(&self, proposal: &IsrProposal) -> bool {
        matches!(&self.inner.lock().role, Role::Leader(leader) if leader.proposal() == Some(proposal))
    }

    /// Leads from now on, or goes on leading with a new state of the same term.
    pub(in crate::replica) fn lead(
        &self,
        term: LeaderTerm,
        settings: Arc<TopicSettings>,
        now: Now,
    ) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        let Inner { log, role, effects, settings: current, .. } = &mut *inner;
        let Some(log) = log else { return Err(Error::UnknownPartition) };
        *current = settings;
        let leading = match role {
            Role::Leader(leader) if leader.term().leader_epoch == term.leader_epoch => {
                leader.state_committed(now.monotonic, term, current.partition, effects);
                None
            }
            _ => {
                let epoch = term.leader_epoch;
                log.begin_epoch(epoch);
                // What has been deleted is nobody's to flush.
                let local = LogPosition { end: log.log_end(), flushed: log.flushed().max(log.log_start()) };
                let (settings, high_watermark) = (current.partition, self.high_watermark());
                let leader = Leader::new(now.monotonic, term, settings, local, high_watermark, effects);
                self.high_watermark.store(leader.high_watermark().0, Ordering::Release);
                *role = Role::Leader(Box::new(leader));
                Some(epoch)
            }
        };
        if let Some(epoch) = leading {
            self.leading.store(epoch.0, Ordering::Release);
        }
        self.perform(inner);
        Ok(())
    }
}
