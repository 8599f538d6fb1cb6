//! What brokers have still to give away, or to get, and for how long. Pure.

use std::{collections::BTreeMap, time::Duration};

use ottla_core::ids::BrokerId;

use super::{
    observe::{Controller, Observed},
    plan::repair::begun,
};
use crate::kafka::PartitionPlacement;

/// What a broker has still before it, in whole replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remainder {
    /// Copies.
    pub replicas: usize,
    /// Their bytes, as far as they are known.
    pub bytes: u64,
}

/// What a broker has to give away because it leaves, or to get by moves or on a new disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Bytes.
    pub bytes: u64,
    /// How long they will take, as far as that can be told.
    pub time: Option<Duration>,
}

/// What `broker` still holds, or is to get.
pub fn held(controller: &Controller, broker: BrokerId) -> Remainder {
    sum(controller, |partition| partition.involves(broker))
}

/// The bytes of each broker that has any to give away because it leaves, or to get by moves or on a new disk.
pub fn bytes_left(observed: &Observed) -> BTreeMap<BrokerId, u64> {
    let Some(controller) = observed.controller() else {
        return BTreeMap::new();
    };
    let (stays_below, replaced) = (observed.scaling().map(|scaling| scaling.to), begun(observed).map(|one| one.broker));
    let leaves = |broker: BrokerId| stays_below.is_some_and(|to| broker.0 >= to);
    let is_replaced = |broker: BrokerId| replaced == Some(broker.0);
    let left = |broker: BrokerId| match broker {
        _ if leaves(broker) => held(controller, broker),
        _ if is_replaced(broker) => sum(controller, |one| one.involves(broker) && !one.in_sync.contains(&broker)),
        _ => sum(controller, |one| one.adding.contains(&broker)),
    };
    let all = controller.brokers.iter().map(|broker| (broker.id, left(broker.id).bytes));
    all.filter(|(_, bytes)| *bytes > 0).collect()
}

fn sum(controller: &Controller, counts: impl Fn(&PartitionPlacement) -> bool) -> Remainder {
    let partitions = controller.placements.iter().flat_map(|topic| &topic.partitions);
    partitions.filter(|partition| counts(partition)).fold(Remainder::default(), |left, partition| Remainder {
        replicas: left.replicas + 1,
        bytes: left.bytes.saturating_add(partition.bytes.unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cluster::{
            observe::Kafka,
            testing::{of_brokers, settled},
        },
        kafka::TopicPlacement,
        names::{REPAIR, SCALING},
    };

    #[test]
    fn a_broker_has_left_what_it_gives_away_or_gets() {
        let mut observed = settled(&of_brokers(3));
        let partition = |index, target: &[i32], adding: &[i32], in_sync: &[i32], bytes| PartitionPlacement {
            index,
            target: target.iter().copied().map(BrokerId).collect(),
            adding: adding.iter().copied().map(BrokerId).collect(),
            removing: Vec::new(),
            in_sync: in_sync.iter().copied().map(BrokerId).collect(),
            leader: None,
            bytes,
        };
        let partitions = vec![
            partition(0, &[0, 1], &[1], &[0], Some(100)),
            partition(1, &[1, 2], &[], &[1], Some(30)),
            partition(2, &[0, 2], &[], &[0, 2], None),
        ];
        let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
        controller.placements = vec![TopicPlacement { topic: "t".to_owned(), min_in_sync: 1, partitions }];
        let left =
            |observed: &Observed| bytes_left(observed).into_iter().map(|(id, left)| (id.0, left)).collect::<Vec<_>>();
        assert_eq!(left(&observed), [(1, 100)], "one that only lags copies less than its whole replicas");
        let mut note = |key: &str, value| {
            let annotations = observed.cluster.metadata.annotations.get_or_insert_default();
            annotations.clear();
            annotations.insert(key.to_owned(), serde_json::Value::to_string(&value));
            left(&observed)
        };
        let begun = json!({ "broker": 2, "pod": "p", "claims": {} });
        assert_eq!(note(REPAIR, begun), [(1, 100), (2, 30)]);
        assert_eq!(note(SCALING, json!({ "from": 3, "to": 1 })), [(1, 130), (2, 30)]);
    }
}
