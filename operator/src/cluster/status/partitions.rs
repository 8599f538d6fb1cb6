//! Counts over all partitions.

use ottla_crds::cluster::PartitionSummary;

use crate::kafka::ClusterView;

/// Counts what the brokers say. What only the brokers' own control service tells (bytes left to move) is zero.
pub(super) fn summary(view: &ClusterView) -> PartitionSummary {
    let partitions = || view.topics.iter().flat_map(|topic| &topic.partitions);
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    PartitionSummary {
        total: count(partitions().count()),
        under_replicated: count(partitions().filter(|one| one.in_sync.len() < one.replicas.len()).count()),
        under_min_isr: count(partitions().filter(|one| one.in_sync.is_empty()).count()),
        offline: count(partitions().filter(|one| one.leader.is_none()).count()),
        moving: 0,
        bytes_to_move: 0,
    }
}
