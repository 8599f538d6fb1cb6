//! The follower of a partition: where it fetches next, where it truncates, what it may call committed.
//!
//! Logs are compared on every fetch by the epoch of the last record (KIP-595). A log is cut only where the leader says
//! that it parts from its own (KIP-320, KIP-279), never to the high watermark: the watermark of a follower lags, and
//! what lies above it may be committed.

use std::time::Duration;

use crate::ids::{BrokerId, LeaderEpoch, Offset};
use crate::mutant::{self, Mutant};

use super::LogPosition;

/// The first pause after a fetch that failed; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause after a fetch that failed.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// One term of another broker's leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerTerm {
    /// Who leads; [`BrokerId::NONE`] while nobody does.
    pub leader: BrokerId,
    /// The term.
    pub leader_epoch: LeaderEpoch,
}

/// A follower's log as its driver has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerLog {
    /// The first offset that may be read.
    pub start: Offset,
    /// How far it reaches.
    pub position: LogPosition,
    /// The epoch of the last record; [`LeaderEpoch::NONE`] if there is none.
    pub last_epoch: LeaderEpoch,
}

/// An epoch, and the offset after its last record in somebody's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch not above the one asked for; the asked one if it lies before all that is known.
    pub epoch: LeaderEpoch,
    /// Offset after the last record of that epoch.
    pub end: Offset,
}

/// What a follower asks its leader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextFetch {
    /// The term in which it follows.
    pub leader_epoch: LeaderEpoch,
    /// Its log end: where it wants to go on.
    pub offset: Offset,
    /// The epoch of the record before `offset`; [`LeaderEpoch::NONE`] if it has none.
    pub last_fetched_epoch: LeaderEpoch,
    /// What it holds on the disk; at most `offset`.
    pub flushed: Offset,
    /// Its log start.
    pub log_start: Offset,
}

impl NextFetch {
    /// Whether an incremental session has to name it (KIP-227), where the leader was `told` something last: with news,
    /// and in any case outside the in-sync set, since the leader admits only whom it hears. A replica that was taken out
    /// while it stood still has nothing new to say where the partition is idle.
    pub fn is_to_be_named(&self, told: Option<&Self>, is_in_sync: bool) -> bool {
        let has_to_be_heard = !is_in_sync && !mutant::is(Mutant::SilentOutsideIsr);
        has_to_be_heard || told != Some(self)
    }
}

/// What the leader answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The logs agree up to the fetch offset.
    Records {
        /// Whether there are any.
        any: bool,
        /// The leader's high watermark.
        high_watermark: Offset,
        /// The leader's log start.
        log_start: Offset,
    },
    /// The logs part before the fetch offset.
    Diverging {
        /// Where the leader's log says that the last common epoch ends.
        leader: EpochEnd,
        /// Where the same epoch, or the largest below it, ends in the log of the follower; none if it has none such.
        local: Option<EpochEnd>,
    },
    /// OFFSET_OUT_OF_RANGE: what comes after the follower's log end is gone from the leader.
    OutOfRange {
        /// The leader's log start.
        log_start: Offset,
    },
    /// Any other error: it passes, or ends with the term.
    Failed,
}

/// An instruction to the driver of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerEffect {
    /// Append the records of this answer as they are; then call [`Follower::appended`], or [`Follower::failed`].
    Append,
    /// Cut the log to this offset; then call [`Follower::truncated`].
    Truncate {
        /// The offset after the last record that stays.
        to: Offset,
    },
    /// Forget the whole log and begin an empty one here; then call [`Follower::truncated`].
    StartAnew {
        /// The leader's log start.
        at: Offset,
    },
    /// Records below this offset are committed: wake the consumers that wait for them.
    AdvanceHighWatermark {
        /// Offset of the first record consumers do not see.
        to: Offset,
    },
    /// The leader has deleted what lies below this offset.
    AdvanceLogStart {
        /// The new log start.
        to: Offset,
    },
    /// There is something to tell the leader: fetch now, even if a fetch is out.
    Fetch,
}

/// The machine. Made anew for each term this broker follows.
#[derive(Clone, Debug)]
pub struct Follower {
    term: FollowerTerm,
    log: FollowerLog,
    high_watermark: Offset,
    /// What the last answer said of the leader: watermark and log start, to be adopted once its records are appended.
    told: (Offset, Offset),
    /// Not before this moment, after how long a pause.
    paused: Option<(Duration, Duration)>,
    stopped: bool,
}

impl Follower {
    /// Begins a term. `high_watermark` is the last one known; it is taken as at most the log's end.
    pub fn new(term: FollowerTerm, log: FollowerLog, high_watermark: Offset) -> Self {
        let high_watermark = high_watermark.min(log.position.end);
        Self { term, log, high_watermark, told: (Offset(-1), Offset(-1)), paused: None, stopped: false }
    }

    /// The term this machine was made for.
    pub fn term(&self) -> FollowerTerm {
        self.term
    }

    /// Offset of the first record consumers do not see.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// How many committed records it does not have, as far as it was told.
    pub fn lag(&self) -> i64 {
        (self.told.0.0 - self.log.position.end.0).max(0)
    }

    /// What to fetch now; nothing while there is no leader, after a failure until its pause is over, and once stopped.
    pub fn next_fetch(&self, now: Duration) -> Option<NextFetch> {
        let rests = self.paused.is_some_and(|(until, _)| now < until);
        if self.stopped || rests || self.term.leader == BrokerId::NONE {
            return None;
        }
        Some(self.fetch())
    }

    /// When to ask again for [`Follower::next_fetch`], if it gives nothing now and will later without any event.
    pub fn resumes_at(&self) -> Option<Duration> {
        self.paused.map(|(until, _)| until).filter(|_| !self.stopped)
    }

    fn fetch(&self) -> NextFetch {
        NextFetch {
            leader_epoch: self.term.leader_epoch,
            offset: self.log.position.end,
            last_fetched_epoch: self.log.last_epoch,
            flushed: self.log.position.flushed,
            log_start: self.log.start,
        }
    }

    /// The leader answered `asked`. An answer to what is not asked any more is ignored: the log has changed since, or
    /// the same records came before.
    pub fn answered(&mut self, now: Duration, asked: &NextFetch, answer: Answer, effects: &mut Vec<FollowerEffect>) {
        let current = self.fetch();
        let is_current = asked.leader_epoch == current.leader_epoch
            && asked.offset == current.offset
            && asked.last_fetched_epoch == current.last_fetched_epoch;
        if self.stopped || !is_current {
            return;
        }
        let is_first = self.told.0 == Offset(-1);
        if mutant::is(Mutant::TruncateToHighWatermark) && is_first && self.high_watermark < current.offset {
            self.told.0 = Offset::ZERO;
            effects.push(FollowerEffect::Truncate { to: self.high_watermark });
            return;
        }
        match answer {
            Answer::Records { any, high_watermark, log_start } => {
                self.paused = None;
                self.told = (high_watermark, log_start);
                if any { effects.push(FollowerEffect::Append) } else { self.adopt(effects) }
            }
            Answer::Diverging { leader, local } => {
                self.paused = None;
                effects.push(FollowerEffect::Truncate { to: common_end(leader, local, current.offset) });
            }
            Answer::OutOfRange { log_start } => {
                let is_behind = current.offset < log_start;
                let is_empty = self.log.start == current.offset;
                if log_start >= Offset::ZERO && log_start != current.offset && (is_behind || is_empty) {
                    effects.push(FollowerEffect::StartAnew { at: log_start });
                } else {
                    self.failed(now);
                }
            }
            Answer::Failed => self.failed(now),
        }
    }

    /// The records of an answer are in the log.
    pub fn appended(&mut self, end: Offset, last_epoch: LeaderEpoch, effects: &mut Vec<FollowerEffect>) {
        self.log.position.end = end;
        self.log.last_epoch = last_epoch;
        self.adopt(effects);
    }

    /// The log has been cut, or begun anew at `start`.
    pub fn truncated(&mut self, log: FollowerLog, effects: &mut Vec<FollowerEffect>) {
        self.log = log;
        // Below the watermark nothing is cut but after an unclean election, which says so.
        self.high_watermark = self.high_watermark.min(log.position.end).max(log.start);
        effects.push(FollowerEffect::Fetch);
    }

    /// The log is on the disk up to `upto`: the leader waits to hear of it.
    pub fn flushed(&mut self, upto: Offset, effects: &mut Vec<FollowerEffect>) {
        let flushed = upto.min(self.log.position.end);
        if flushed > self.log.position.flushed {
            self.log.position.flushed = flushed;
            effects.push(FollowerEffect::Fetch);
        }
    }

    /// The fetch, or the append of what it brought, failed in a way that may pass. Pauses, longer each time.
    pub fn failed(&mut self, now: Duration) {
        let pause = self.paused.map_or(FIRST_PAUSE, |(_, pause)| (pause * 2).min(LONGEST_PAUSE));
        self.paused = Some((now + pause, pause));
    }

    /// The log can no longer be written: this replica is at rest until it is opened anew.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    fn adopt(&mut self, effects: &mut Vec<FollowerEffect>) {
        let (high_watermark, log_start) = self.told;
        let committed = high_watermark.min(self.log.position.end);
        if committed > self.high_watermark {
            self.high_watermark = committed;
            effects.push(FollowerEffect::AdvanceHighWatermark { to: committed });
        }
        let start = log_start.min(self.high_watermark);
        if start > self.log.start {
            self.log.start = start;
            effects.push(FollowerEffect::AdvanceLogStart { to: start });
        }
    }
}

/// Up to where two logs may agree: the lesser end of the last common epoch. Where the follower does not know the epoch
/// that the leader names, of the largest below it; what is left is compared again by the next fetch (KIP-279).
pub fn common_end(leader: EpochEnd, local: Option<EpochEnd>, log_end: Offset) -> Offset {
    let least = leader.end.min(log_end);
    if mutant::is(Mutant::Kip279Hole) {
        return least;
    }
    local.map_or(least, |local| least.min(local.end))
}
