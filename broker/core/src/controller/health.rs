//! How whole the cluster is: counts over an image, which change nothing.

use std::collections::BTreeMap;

use super::Settings;
use crate::metadata::{Image, Partition};
use crate::{BrokerId, TopicId};

/// Counts over all partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionHealth {
    /// All of them.
    pub total: usize,
    /// Those with a replica out of sync that a reassignment neither adds nor takes away.
    pub under_replicated: usize,
    /// Those with fewer in-sync replicas than min.insync.replicas.
    pub under_min_isr: usize,
    /// Those without a leader.
    pub offline: usize,
    /// Those that are being reassigned.
    pub moving: usize,
}

impl PartitionHealth {
    /// Counts the partitions of `image`.
    pub fn of(image: &Image, settings: &Settings) -> Self {
        let mut health = Self::default();
        for topic in image.topics().iter() {
            let min_isr = image.min_isr(topic.name.as_str(), settings.min_insync_replicas());
            for state in &topic.partitions {
                health.total += 1;
                health.under_replicated += usize::from(is_under_replicated(state));
                health.under_min_isr += usize::from(state.isr.len() < state.effective_min_isr(min_isr));
                health.offline += usize::from(state.leader == BrokerId::NONE);
                health.moving += usize::from(state.is_moving());
            }
        }
        health
    }
}

/// What one broker has to do with partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerLoad {
    /// How many it leads.
    pub leaders: usize,
    /// How many replicas are assigned to it, those that a reassignment adds or takes away included.
    pub replicas: usize,
}

impl BrokerLoad {
    /// The load of every registered broker on `image`.
    pub fn of_all(image: &Image) -> BTreeMap<BrokerId, Self> {
        let mut loads: BTreeMap<_, Self> = image.brokers().keys().map(|id| (*id, Self::default())).collect();
        for state in image.topics().iter().flat_map(|topic| &topic.partitions) {
            if let Some(load) = loads.get_mut(&state.leader) {
                load.leaders += 1;
            }
            for broker in state.brokers() {
                if let Some(load) = loads.get_mut(&broker) {
                    load.replicas += 1;
                }
            }
        }
        loads
    }
}

/// A copy that a reassignment has still to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingCopy {
    /// The topic.
    pub topic: TopicId,
    /// The partition's index.
    pub partition: i32,
    /// Where it is copied from; [`BrokerId::NONE`] while the partition is offline.
    pub from: BrokerId,
    /// Where it is copied to.
    pub to: BrokerId,
}

/// Every copy that reassignments on `image` have still to make.
pub fn pending_copies(image: &Image) -> Vec<PendingCopy> {
    let mut copies = Vec::new();
    for topic in image.topics().iter() {
        for (partition, state) in topic.indexed() {
            let missing = state.adding.iter().filter(|to| !state.isr.contains(to));
            copies.extend(missing.map(|to| PendingCopy { topic: topic.id, partition, from: state.leader, to: *to }));
        }
    }
    copies
}

fn is_under_replicated(state: &Partition) -> bool {
    let moves = |broker: &BrokerId| state.adding.contains(broker) || state.removing.contains(broker);
    state.brokers().filter(|broker| !moves(broker)).any(|broker| !state.isr.contains(&broker))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, directory};
    use super::*;
    use crate::metadata::{PartitionChange, Record, Replica};

    /// Has partition 0 of `topic` be moved to `adding` from `removing`.
    fn reassign(cluster: &mut Cluster, topic: &str, adding: &[i32], removing: &[i32]) {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let before = cluster.partition(topic, 0).clone();
        let mut after = before.clone();
        let copy = |id: &i32| Replica { broker: BrokerId(*id), directory: directory(*id) };
        after.replicas.extend(adding.iter().map(copy));
        (after.adding, after.removing) = (ids(adding), ids(removing));
        let change = PartitionChange::between(&before, &after);
        let record = Record::PartitionChanged { topic: cluster.get(topic).id, partition: 0, change };
        cluster.image.apply(&record).unwrap();
    }

    fn health(cluster: &Cluster) -> PartitionHealth {
        PartitionHealth::of(&cluster.image, &cluster.settings)
    }

    #[test]
    fn every_partition_is_counted_under_all_that_it_lacks() {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("whole", &[&[0, 1], &[1, 0]], &[]);
        cluster.topic("strict", &[&[0, 2]], &[("min.insync.replicas", "2")]);
        cluster.topic("single", &[&[2]], &[]);
        assert_eq!(health(&cluster), PartitionHealth { total: 4, ..PartitionHealth::default() });
        cluster.fence(2);
        let expected = PartitionHealth { total: 4, under_replicated: 2, under_min_isr: 2, offline: 1, moving: 0 };
        assert_eq!(health(&cluster), expected);
    }

    #[test]
    fn a_copy_on_its_way_is_a_move_and_no_lack() {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("t", &[&[0, 1]], &[]);
        reassign(&mut cluster, "t", &[2], &[1]);
        assert_eq!(health(&cluster), PartitionHealth { total: 1, moving: 1, ..PartitionHealth::default() });
        let copy = PendingCopy { topic: cluster.get("t").id, partition: 0, from: BrokerId(0), to: BrokerId(2) };
        assert_eq!(pending_copies(&cluster.image), [copy]);
        cluster.propose("t", 0, &[0, 1, 2]).unwrap();
        assert_eq!(pending_copies(&cluster.image), []);
    }

    #[test]
    fn brokers_lead_and_hold_what_the_partitions_say() {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("t", &[&[0, 1], &[0, 2]], &[]);
        let load = |leaders, replicas| BrokerLoad { leaders, replicas };
        let expected = [(BrokerId(0), load(2, 2)), (BrokerId(1), load(0, 1)), (BrokerId(2), load(0, 1))];
        assert_eq!(BrokerLoad::of_all(&cluster.image), expected.into());
    }
}
