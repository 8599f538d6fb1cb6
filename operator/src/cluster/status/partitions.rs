//! Counts over all partitions.

use ottla_crds::cluster::PartitionSummary;

use crate::kafka::PartitionHealth;

/// What the active controller counts.
pub(super) fn summary(health: &PartitionHealth) -> PartitionSummary {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    PartitionSummary {
        total: count(health.total),
        under_replicated: count(health.under_replicated),
        under_min_isr: count(health.under_min_isr),
        offline: count(health.offline),
        moving: count(health.moving),
        bytes_to_move: i64::try_from(health.bytes_left).unwrap_or(i64::MAX),
    }
}
