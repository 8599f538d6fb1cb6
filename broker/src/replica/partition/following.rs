//! Following: what to fetch, and what becomes of the leader's answers.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ottla_core::partition::{
    Answer, Durability, EpochEnd, Follower, FollowerEffect, FollowerLog, FollowerTerm, LogPosition, NextFetch,
};
use ottla_core::{BrokerId, LeaderEpoch, Now, Offset};
use ottla_storage::Log;
use tracing::{info, warn};

use super::{Inner, Partition, Role};
use crate::replica::TopicSettings;
use crate::replica::fetcher::Followed;

/// The leader's answer for one partition.
#[derive(Clone, Copy, Debug)]
pub enum Fetched<'a> {
    /// Batches as the leader has them, perhaps none.
    Records {
        /// The batches; a cut one at the end is left out.
        bytes: &'a [u8],
        /// The leader's high watermark.
        high_watermark: Offset,
        /// The leader's log start.
        log_start: Offset,
    },
    /// The logs part before the fetch offset.
    Diverging(EpochEnd),
    /// OFFSET_OUT_OF_RANGE.
    OutOfRange {
        /// The leader's log start.
        log_start: Offset,
    },
    /// Any other error.
    Failed,
}

impl Fetched<'_> {
    fn answer(&self, log: &Log) -> Answer {
        match *self {
            Self::Records { bytes, high_watermark, log_start } => {
                Answer::Records { any: !bytes.is_empty(), high_watermark, log_start }
            }
            Self::Diverging(leader) => Answer::Diverging { leader, local: log.end_offset_for_epoch(leader.epoch) },
            Self::OutOfRange { log_start } => Answer::OutOfRange { log_start },
            Self::Failed => Answer::Failed,
        }
    }

    fn bytes(&self) -> &[u8] {
        if let Self::Records { bytes, .. } = self { bytes } else { &[] }
    }
}

/// A log as the machine sees it.
pub(super) fn tail(log: &Log) -> FollowerLog {
    FollowerLog {
        start: log.log_start(),
        position: LogPosition { end: log.log_end(), flushed: log.flushed() },
        last_epoch: log.latest_epoch().unwrap_or(LeaderEpoch::NONE),
    }
}

impl Partition {
    /// Leads no more; follows in `term`, or nobody. Going on in the same term changes nothing.
    pub(in crate::replica) fn follow(&self, term: FollowerTerm) {
        let mut inner = self.inner.lock();
        self.leading.store(LeaderEpoch::NONE.0, Ordering::Release);
        let Inner { role, effects, log, settings, .. } = &mut *inner;
        if matches!(role, Role::Follower(follower) if follower.term() == term) {
            return;
        }
        let none = FollowerLog { start: Offset::ZERO, position: LogPosition::default(), last_epoch: LeaderEpoch::NONE };
        let log_tail = log.as_ref().map_or(none, tail);
        let follower = Follower::new(term, log_tail, self.high_watermark());
        if let Role::Leader(machine) = std::mem::replace(role, Role::Follower(Box::new(follower))) {
            machine.resign(effects);
        }
        // The leader counts what is on this disk, and must not wait for the next record to hear of it.
        if let Some(log) = log
            && settings.partition.durability == Durability::Fsync
            && log_tail.position.flushed < log_tail.position.end
        {
            log.request_flush();
        }
        self.perform(inner);
        self.log_starts.notify_waiters();
        self.tell_fetcher();
    }

    /// The fetch loop that works for this replica from now on.
    pub(in crate::replica) fn set_fetcher(&self, fetcher: Weak<Followed>) {
        *self.fetcher.lock() = fetcher;
    }

    /// Tells the fetch loop that there is something to ask or to tell.
    pub(super) fn tell_fetcher(&self) {
        let fetcher: Option<Arc<Followed>> = self.fetcher.lock().upgrade();
        if let Some(fetcher) = fetcher {
            fetcher.notify(self.handle);
        }
    }

    /// What to ask `leader` for now, if this replica follows it; else when to ask again, if that is known. A throttled
    /// replica that lags asks for nothing while the throttle is closed.
    pub(in crate::replica) fn next_fetch(&self, leader: BrokerId, now: Now) -> Result<NextFetch, Option<Duration>> {
        let inner = self.inner.lock();
        match &inner.role {
            Role::Follower(follower) if follower.term().leader == leader => {
                let next = follower.next_fetch(now.monotonic).ok_or_else(|| follower.resumes_at())?;
                let is_held_back = follower.lag() > 0 && self.is_throttled_follower(&inner.settings, &inner.adding);
                match self.throttles.follower.closed_until(now).filter(|_| is_held_back) {
                    Some(until) => Err(Some(until)),
                    None => Ok(next),
                }
            }
            _ => Err(None),
        }
    }

    fn is_throttled_follower(&self, settings: &TopicSettings, adding: &[BrokerId]) -> bool {
        let me = self.throttles.me;
        let is_moving = adding.contains(&me) && self.throttles.limit_moves();
        is_moving || settings.throttled_followers.contains(self.id.partition, me)
    }

    /// The leader's answer to `asked`: appends, truncates, adopts the watermark. Answers that do not count any more
    /// change nothing. Gives whether something was appended that is to be flushed.
    pub(in crate::replica) fn fetched(&self, asked: &NextFetch, fetched: &Fetched<'_>, now: Now) -> bool {
        let mut inner = self.inner.lock();
        let Inner { log: Some(log), role: Role::Follower(follower), settings, adding, .. } = &mut *inner else {
            return false;
        };
        let was_lagging = follower.lag() > 0;
        let mut to_flush = false;
        let mut effects = Vec::new();
        follower.answered(now.monotonic, asked, fetched.answer(log), &mut effects);
        let mut effects = VecDeque::from(effects);
        let mut watermark_moved = false;
        while let Some(effect) = effects.pop_front() {
            let mut more = Vec::new();
            match effect {
                FollowerEffect::Append => {
                    to_flush |= self.append_fetched(log, follower, settings, fetched.bytes(), now, &mut more);
                }
                FollowerEffect::Truncate { to } => {
                    info!(partition = %self.id, from = %log.log_end(), %to, "log differs from the leader's: truncating");
                    if to < self.high_watermark() {
                        warn!(partition = %self.id, %to, "truncating below the high watermark");
                    }
                    let done = log.truncate_to(to).map(drop);
                    self.log_replaced(log, follower, done, now, &mut more);
                }
                FollowerEffect::StartAnew { at } => {
                    info!(partition = %self.id, %at, "log ends before the leader's begins: starting anew");
                    let done = log.truncate_fully_and_start_at(at);
                    self.log_replaced(log, follower, done, now, &mut more);
                }
                FollowerEffect::AdvanceHighWatermark { to } => {
                    self.high_watermark.store(to.0, Ordering::Release);
                    watermark_moved = true;
                }
                FollowerEffect::AdvanceLogStart { to } => {
                    if let Err(error) = log.advance_log_start(to) {
                        warn!(partition = %self.id, %error, "cannot delete what the leader has deleted");
                    }
                }
                // The loop that called looks by itself.
                FollowerEffect::Fetch => {}
            }
            effects.extend(more);
        }
        if (was_lagging || follower.lag() > 0) && self.is_throttled_follower(settings, adding) {
            self.throttles.follower.take(fetched.bytes().len(), now);
        }
        drop(inner);
        if watermark_moved {
            self.wake_consumers();
        }
        to_flush
    }

    fn append_fetched(
        &self,
        log: &mut Log,
        follower: &mut Follower,
        settings: &TopicSettings,
        bytes: &[u8],
        now: Now,
        effects: &mut Vec<FollowerEffect>,
    ) -> bool {
        let before = log.log_end();
        let result = log.append_as_follower(bytes, now);
        let end = log.log_end();
        let to_flush = end > before && settings.partition.durability == Durability::Fsync;
        if end > before {
            follower.appended(end, log.latest_epoch().unwrap_or(LeaderEpoch::NONE), effects);
        }
        if to_flush {
            log.request_flush();
        }
        match result {
            Ok(Some(_)) => {}
            Ok(None) => follower.failed(now.monotonic),
            Err(error) => {
                warn!(partition = %self.id, %error, "cannot append what the leader sent");
                follower.failed(now.monotonic);
            }
        }
        to_flush
    }

    fn log_replaced(
        &self,
        log: &Log,
        follower: &mut Follower,
        done: Result<(), ottla_storage::Error>,
        now: Now,
        effects: &mut Vec<FollowerEffect>,
    ) {
        if let Err(error) = done {
            warn!(partition = %self.id, %error, "cannot truncate");
            return follower.failed(now.monotonic);
        }
        follower.truncated(tail(log), effects);
        self.high_watermark.store(follower.high_watermark().0, Ordering::Release);
    }

    /// The log's directory has failed: nothing is fetched for it any more.
    pub(super) fn stop_following(&self) {
        if let Role::Follower(follower) = &mut self.inner.lock().role {
            follower.stop();
        }
        self.tell_fetcher();
    }

    /// How many committed records this replica lacks, where this broker follows.
    pub fn lag(&self) -> Option<i64> {
        match &self.inner.lock().role {
            Role::Follower(follower) => Some(follower.lag()),
            Role::Leader(_) => None,
        }
    }

    /// Who leads and in which term, where this broker follows.
    pub fn followed_term(&self) -> Option<FollowerTerm> {
        match &self.inner.lock().role {
            Role::Follower(follower) => Some(follower.term()),
            Role::Leader(_) => None,
        }
    }
}
