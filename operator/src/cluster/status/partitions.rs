//! Counts over all partitions, and how unevenly they lie.

use ottla_crds::cluster::PartitionSummary;

use super::super::observe::{Controller, Observed};

/// What the active controller counts.
pub(super) fn summary(controller: &Controller) -> PartitionSummary {
    let health = &controller.health;
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    PartitionSummary {
        total: count(health.total),
        under_replicated: count(health.under_replicated),
        under_min_isr: count(health.under_min_isr),
        offline: count(health.offline),
        moving: count(health.moving),
        bytes_to_move: rounded(health.bytes_left),
    }
}

/// The two leading digits: a status that changed with every byte would be written, and wake a pass, without end.
pub(super) fn rounded(bytes: u64) -> i64 {
    let step = 10_u64.pow(bytes.checked_ilog10().unwrap_or(0).saturating_sub(1));
    i64::try_from(bytes / step * step).unwrap_or(i64::MAX)
}

/// The least and the most copies that a broker which stays holds.
pub(super) fn spread(observed: &Observed) -> Option<(u32, u32)> {
    let staying = observed.controller()?.brokers.iter().filter(|broker| broker.id.0 < observed.spec().brokers);
    let counts: Vec<u32> = staying.map(|broker| broker.replicas).collect();
    Some((*counts.iter().min()?, *counts.iter().max()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_left_are_told_in_two_digits() {
        for (bytes, told) in
            [(0, 0), (7, 7), (99, 99), (109, 100), (1_048_576, 1_000_000), (1_999_999_999, 1_900_000_000)]
        {
            assert_eq!(rounded(bytes), told, "{bytes}");
        }
        assert_eq!(rounded(u64::MAX), i64::MAX);
    }
}
