//! GetPartitionHealth: core's counts, and the bytes that moves have still to copy as the brokers tell of them.

use std::collections::BTreeMap;

use ottla_control::{self as proto, DescribeDisksResponse, PartitionRef};
use ottla_core::BrokerId;
use ottla_core::controller::{PartitionHealth, PendingCopy, pending_copies};

use super::Admin;
use super::restart::count;
use crate::controller::MetadataLog;

impl Admin {
    /// Counts over all partitions. This broker must have the active controller.
    pub(super) async fn health(&self) -> proto::GetPartitionHealthResponse {
        let image = self.log.committed().borrow().clone();
        let health = PartitionHealth::of(&image, &self.settings);
        let copies = pending_copies(&image);
        let sizes = match copies.is_empty() {
            true => Sizes::default(),
            false => self.sizes_of(&copies).await,
        };
        let left: Vec<Option<u64>> = copies.iter().map(|copy| sizes.left(copy)).collect();
        proto::GetPartitionHealthResponse {
            total: count(health.total),
            under_replicated: count(health.under_replicated),
            under_min_isr: count(health.under_min_isr),
            offline: count(health.offline),
            moving: count(health.moving),
            bytes_left: left.iter().flatten().sum(),
            unsized_moves: count(left.iter().filter(|left| left.is_none()).count()),
            metadata_index: image.index().0,
        }
    }

    async fn sizes_of(&self, copies: &[PendingCopy]) -> Sizes {
        let mut asked: BTreeMap<BrokerId, Vec<PartitionRef>> = BTreeMap::new();
        for copy in copies {
            for broker in [copy.from, copy.to].into_iter().filter(|broker| *broker != BrokerId::NONE) {
                asked.entry(broker).or_default().push(reference(copy));
            }
        }
        let answers = self.ask_for_disks(asked.clone()).await;
        Sizes::new(&asked, &answers)
    }
}

/// How much each broker that answered holds of each partition.
#[derive(Default)]
struct Sizes(BTreeMap<BrokerId, BTreeMap<(Vec<u8>, i32), u64>>);

impl Sizes {
    fn new(asked: &BTreeMap<BrokerId, Vec<PartitionRef>>, answers: &BTreeMap<BrokerId, DescribeDisksResponse>) -> Self {
        let of = |(broker, answer): (&BrokerId, &DescribeDisksResponse)| {
            let sizes = asked[broker].iter().zip(&answer.sizes);
            // What is not there yet has no bytes yet.
            let sizes = sizes.map(|(partition, size)| (key(partition), size.bytes.unwrap_or(0)));
            (*broker, sizes.collect())
        };
        Self(answers.iter().map(of).collect())
    }

    /// Bytes that `copy` lacks, if both brokers answered.
    fn left(&self, copy: &PendingCopy) -> Option<u64> {
        let key = key(&reference(copy));
        let size = |broker: &BrokerId| self.0.get(broker)?.get(&key).copied();
        Some(size(&copy.from)?.saturating_sub(size(&copy.to)?))
    }
}

fn reference(copy: &PendingCopy) -> PartitionRef {
    PartitionRef { topic_id: copy.topic.0.as_bytes().to_vec(), partition: copy.partition }
}

fn key(partition: &PartitionRef) -> (Vec<u8>, i32) {
    (partition.topic_id.clone(), partition.partition)
}

#[cfg(test)]
mod tests {
    use ottla_control::ReplicaSize;
    use ottla_core::TopicId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_left_is_what_the_source_has_and_the_target_lacks() {
        let copy = |partition| PendingCopy {
            topic: TopicId(Uuid::from_u128(7)),
            partition,
            from: BrokerId(0),
            to: BrokerId(1),
        };
        let asked: Vec<_> = (0..3).map(|partition| reference(&copy(partition))).collect();
        let answer = |sizes: [Option<u64>; 3]| DescribeDisksResponse {
            directories: Vec::new(),
            sizes: sizes.map(|bytes| ReplicaSize { bytes }).into(),
        };
        let asked = BTreeMap::from([(BrokerId(0), asked.clone()), (BrokerId(1), asked)]);
        let both =
            [(BrokerId(0), answer([Some(100), Some(50), Some(10)])), (BrokerId(1), answer([Some(30), None, Some(20)]))];
        let sizes = Sizes::new(&asked, &both.clone().into());
        assert_eq!([0, 1, 2].map(|partition| sizes.left(&copy(partition))), [Some(70), Some(50), Some(0)]);
        let one = Sizes::new(&asked, &both.into_iter().take(1).collect());
        assert_eq!(one.left(&copy(0)), None, "the target did not answer");
    }
}
