//! The settings of a share partition, under Kafka's names.

use std::time::Duration;

/// What the broker and the group say of delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `group.share.delivery.count.limit`: a record is given up once it was delivered so often in vain.
    pub max_deliveries: u16,
    /// `group.share.record.lock.duration.ms`: for how long a member has a record.
    pub lock_duration: Duration,
    /// `group.share.partition.max.record.locks`: how many records may be between the start and the end of delivery.
    pub max_in_flight: u32,
    /// `share.renew.acknowledge.enable`: whether members may ask for more time (KIP-1222).
    pub may_renew: bool,
}

impl Default for Config {
    /// Kafka's defaults.
    fn default() -> Self {
        Self { max_deliveries: 5, lock_duration: Duration::from_secs(30), max_in_flight: 2000, may_renew: true }
    }
}

impl Config {
    /// How many of `origin` records that began as one batch and were delivered `count` times may be delivered at once, and
    /// nothing with them; none where that does not matter yet. Among records that fail again and again is one that breaks
    /// its consumers: fewer at a time, and the last time one alone, keep the others from being given up with it.
    pub(super) fn most_at_once(&self, count: u16, origin: u64) -> Option<u64> {
        let cautious_from = self.max_deliveries.div_ceil(2).max(2);
        if count < cautious_from {
            return None;
        }
        let is_last_time = self.max_deliveries > 2 && count.saturating_add(1) >= self.max_deliveries;
        let halved = origin.checked_shr(u32::from(count - cautious_from) + 1).unwrap_or(0);
        Some(if is_last_time { 1 } else { halved.max(1) })
    }
}
