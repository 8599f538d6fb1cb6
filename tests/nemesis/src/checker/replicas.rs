//! What the brokers have on their disks: B9.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::{Batch, ReplicaLog};

/// B9: replicas that are not byte-identical, or end before what clients read at the end.
pub(super) fn differences(facts: &Facts<'_>) -> Vec<String> {
    let mut partitions: BTreeMap<i32, Vec<&ReplicaLog>> = BTreeMap::new();
    for replica in &facts.replicas {
        partitions.entry(replica.partition).or_default().push(replica);
    }
    let mut found = Vec::new();
    for (partition, replicas) in partitions {
        let end = facts.logs.get(&partition).map_or(0, |log| log.end());
        for replica in &replicas {
            let own_end = replica.batches.last().map_or(0, |batch| batch.end);
            if own_end < end {
                let broker = replica.broker;
                found.push(format!(
                    "broker {broker} ends at {own_end} of partition {partition}, clients read up to {end}"
                ));
            }
        }
        for pair in replicas.windows(2) {
            if let Some((a, b)) = first_difference(&pair[0].batches, &pair[1].batches) {
                found.push(format!(
                    "partition {partition}: broker {} has {a:?} where broker {} has {b:?}",
                    pair[0].broker, pair[1].broker
                ));
            }
        }
    }
    found
}

fn first_difference(a: &[Batch], b: &[Batch]) -> Option<(Option<Batch>, Option<Batch>)> {
    let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let differing = (a.get(at).copied(), b.get(at).copied());
    (differing != (None, None)).then_some(differing)
}
