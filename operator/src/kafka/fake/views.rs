//! What brokers of the fake say where all is well.

use ottla_core::ids::BrokerEpoch;
use uuid::Uuid;

use super::*;

/// What is said of a restart that harms nobody.
pub fn harmless() -> RestartVerdict {
    RestartVerdict {
        allowed: true,
        harmed: Vec::new(),
        loses_quorum: false,
        holds_quorum: false,
        unavoidable: 0,
        catching_up: 0,
    }
}

/// A broker as it is when all is well.
pub fn broker(id: i32) -> BrokerView {
    BrokerView {
        id: BrokerId(id),
        epoch: BrokerEpoch(100 + i64::from(id)),
        rack: None,
        fenced: false,
        cordoned: false,
        is_controller: id == 0,
        leaders: 0,
        replicas: 0,
        advertised: String::new(),
        directories: vec![DirectoryView { id: format!("disk-{id}"), failure: None, space: Some((1 << 40, 3 << 38)) }],
    }
}

/// What a broker would count over `topics`, where min ISR is 1.
pub fn health<'a>(topics: impl Iterator<Item = &'a TopicView>) -> PartitionHealth {
    let mut health = PartitionHealth::default();
    for partition in topics.flat_map(|topic| &topic.partitions) {
        health.total += 1;
        health.under_replicated += u32::from(partition.in_sync.len() < partition.replicas.len());
        health.under_min_isr += u32::from(partition.in_sync.is_empty());
        health.offline += u32::from(partition.leader.is_none());
    }
    health
}

/// Partitions with so many copies each, the first on the first of `brokers`, the next one further on.
pub(super) fn topic_view(name: &str, partitions: i32, copies: usize, brokers: &[BrokerId]) -> TopicView {
    let partition = |index: usize| {
        let replicas: Vec<_> = brokers.iter().copied().cycle().skip(index % brokers.len()).take(copies).collect();
        let (leader, in_sync) = (replicas.first().copied(), replicas.clone());
        PartitionView { leader, in_sync, replicas, ..PartitionView::default() }
    };
    TopicView {
        name: name.to_owned(),
        id: TopicId(Uuid::new_v4()),
        partitions: (0..usize::try_from(partitions).unwrap()).map(partition).collect(),
    }
}

impl State {
    /// A broker with what it leads and holds now.
    pub(super) fn loaded(&self, broker: &BrokerView) -> BrokerView {
        let count = |is_it: &dyn Fn(&PartitionView) -> bool| {
            let partitions = self.topics.values().flat_map(|(view, _)| &view.partitions);
            u32::try_from(partitions.filter(|partition| is_it(partition)).count()).unwrap()
        };
        let (leaders, replicas) = (
            count(&|partition| partition.leader == Some(broker.id)),
            count(&|partition| partition.replicas.contains(&broker.id)),
        );
        BrokerView { leaders, replicas, ..broker.clone() }
    }
}
