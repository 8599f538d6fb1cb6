//! Throttled replication (KIP-73): how fast replicas that lag may be copied, as leader and as follower.
//!
//! Which ones is said by lists in the topics' configurations, as in Kafka; or by one rate for all that reassignments
//! copy (`ottla.move.max.bytes.per.second`), which needs no lists and so leaves none behind.
//! Only what a replica outside the in-sync set catches up on is counted and held back: records that are being produced
//! reach the others as fast as ever, and use up nothing of the rate.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_core::metadata::{Image, Resource};
use ottla_core::throttle::Throttle;
use ottla_core::{BrokerId, Now};
use parking_lot::Mutex;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const MOVE_RATE: &str = "ottla.move.max.bytes.per.second";

/// Which replicas of a topic are throttled, on one of the two sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// None.
    #[default]
    None,
    /// `*`.
    All,
    /// These partitions on these brokers.
    These(BTreeSet<(i32, BrokerId)>),
}

impl ThrottledReplicas {
    /// Reads `*`, or a list of `partition:broker`; what does not parse is left out, since values are checked before they
    /// are stored.
    pub fn parse(value: &str) -> Self {
        if value.trim() == "*" {
            return Self::All;
        }
        let replica = |word: &str| {
            let (partition, broker) = word.trim().split_once(':')?;
            Some((partition.parse().ok()?, BrokerId(broker.parse().ok()?)))
        };
        let these: BTreeSet<_> = value.split(',').filter_map(replica).collect();
        if these.is_empty() { Self::None } else { Self::These(these) }
    }

    /// Whether the replica of `partition` on `broker` is one of them.
    pub fn contains(&self, partition: i32, broker: BrokerId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::These(these) => these.contains(&(partition, broker)),
        }
    }
}

/// One side's rate, shared by all replicas of this broker that are throttled on it.
#[derive(Debug)]
pub struct Side(Mutex<Throttle>);

impl Side {
    fn open() -> Self {
        Self(Mutex::new(Throttle::new(None, Duration::ZERO)))
    }

    /// Until when nothing may pass; none if something may now.
    pub fn closed_until(&self, now: Now) -> Option<Duration> {
        let wait = self.0.lock().wait(now.monotonic);
        (!wait.is_zero()).then(|| now.monotonic.saturating_add(wait))
    }

    /// Notes that `bytes` of throttled replicas have passed.
    pub fn take(&self, bytes: usize, now: Now) {
        self.0.lock().take(bytes as u64, now.monotonic);
    }
}

/// Both sides of a broker.
#[derive(Debug)]
pub struct Throttles {
    /// The broker.
    pub me: BrokerId,
    /// What this broker sends as leader.
    pub leader: Side,
    /// What this broker fetches as follower.
    pub follower: Side,
    /// Whether what reassignments copy counts on both sides.
    limit_moves: AtomicBool,
}

impl Throttles {
    /// Those of broker `me`; nothing is held back yet.
    pub fn new(me: BrokerId) -> Self {
        Self { me, leader: Side::open(), follower: Side::open(), limit_moves: AtomicBool::new(false) }
    }

    /// Whether the copies that reassignments make are throttled, on both sides.
    pub fn limit_moves(&self) -> bool {
        self.limit_moves.load(Ordering::Relaxed)
    }

    /// Takes the rates from the dynamic configuration of this broker, else of all; without one nothing is held back. A
    /// side's own rate counts more than that of moves.
    pub fn configure(&self, image: &Image, now: Now) {
        let rate = |key: &str| -> Option<u64> {
            let own = image.config_value(&Resource::broker(self.me.to_string()), key);
            let value = own.or_else(|| image.config_value(&Resource::every_broker(), key))?;
            value.trim().parse().ok()
        };
        let moves = rate(MOVE_RATE);
        self.limit_moves.store(moves.is_some(), Ordering::Relaxed);
        for (side, key) in [(&self.leader, LEADER_RATE), (&self.follower, FOLLOWER_RATE)] {
            side.0.lock().set_rate(rate(key).or(moves), now.monotonic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttled_replicas_are_all_none_or_those_listed() {
        let broker = BrokerId(2);
        assert!(!ThrottledReplicas::parse(" ").contains(0, broker));
        assert!(ThrottledReplicas::parse("*").contains(9, broker));
        let these = ThrottledReplicas::parse("0:1, 3:2");
        assert!(these.contains(3, broker) && these.contains(0, BrokerId(1)));
        assert!(!these.contains(0, broker) && !these.contains(2, BrokerId(3)));
    }
}
