//! What a leader knows of one replica.

use std::time::Duration;

use crate::ids::{BrokerEpoch, BrokerId, Offset};
use crate::mutant::{self, Mutant};

use super::Durability;

/// How far a replica's log reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// Offset after the last record.
    pub end: Offset,
    /// Offset after the last record known to be on the disk; at most `end`.
    pub flushed: Offset,
}

impl LogPosition {
    /// The offset below which this replica counts as holding the records.
    pub(super) fn held(&self, durability: Durability) -> Offset {
        match durability {
            Durability::Fsync if mutant::is(Mutant::AckBeforeFlush) => self.end,
            Durability::Fsync => self.flushed,
            Durability::Replicated => self.end,
        }
    }
}

/// A follower's fetch, as far as replication is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerFetch {
    /// The follower.
    pub broker: BrokerId,
    /// The uptime of the follower; a fetch of an earlier uptime than one already seen is ignored.
    pub broker_epoch: BrokerEpoch,
    /// Its log: `end` is the offset it fetches from, `flushed` comes in a tagged field of ours.
    pub position: LogPosition,
    /// Where its log starts.
    pub log_start: Offset,
}

/// How far a follower has come, as the leader knows.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) broker: BrokerId,
    pub(super) epoch: BrokerEpoch,
    pub(super) position: LogPosition,
    /// The leader's log end when it last gave records to a fetch; no less than where the follower fetches from.
    pub(super) given: Offset,
    /// Where its log starts; −1 before it has said so.
    pub(super) log_start: Offset,
    /// Until this moment (monotonic) it is known to have held all that the leader held.
    pub(super) caught_up_at: Duration,
    /// The leader's log end when the last fetch was answered, and when that was: a follower that fetches from there
    /// was caught up at that time, even if the log has grown since.
    last_fetch: Option<(Offset, Duration)>,
    /// Since when it waits to be proposed for the ISR. It may have nothing more to say while its partition is idle.
    pub(super) waits_since: Option<Duration>,
}

impl Progress {
    pub(super) fn new(broker: BrokerId, now: Duration) -> Self {
        Self {
            broker,
            epoch: BrokerEpoch(-1),
            position: LogPosition::default(),
            given: Offset::ZERO,
            log_start: Offset(-1),
            caught_up_at: now,
            last_fetch: None,
            waits_since: None,
        }
    }

    /// Takes note of a fetch; `leader_end` is the leader's log end at this moment.
    pub(super) fn fetched(&mut self, now: Duration, fetch: &FollowerFetch, leader_end: Offset) {
        self.epoch = fetch.broker_epoch;
        self.position = fetch.position;
        self.given = fetch.position.end;
        self.log_start = fetch.log_start;
        if fetch.position.end >= leader_end {
            self.caught_up_at = now;
        } else if let Some((end_then, then)) = self.last_fetch
            && fetch.position.end >= end_then
        {
            self.caught_up_at = self.caught_up_at.max(then);
        }
        self.last_fetch = Some((leader_end, now));
    }

    /// Waits no more if it has been silent for `longest`: it may be gone.
    pub(super) fn wait_at_most(&mut self, longest: Duration, now: Duration) {
        if self.last_fetch.is_none_or(|(_, at)| now.saturating_sub(at) > longest) {
            self.waits_since = None;
        }
    }
}
