//! Which replicas go to another disk of their broker next: what the planner of [`crate::balance::disks`] makes of them.

use std::collections::BTreeMap;

use super::{
    super::{disks, observe::Observed, validate::ValidCluster},
    Request, Step,
};
use crate::{balance, kafka::LogDirMove};

/// The next shifts, broker by broker.
pub(super) fn next(cluster: &ValidCluster, observed: &Observed) -> Vec<Step> {
    let moves = usize::try_from(cluster.rebalance.max_concurrent_moves).unwrap_or(1);
    let mut by_broker: BTreeMap<_, Vec<LogDirMove>> = BTreeMap::new();
    for shift in balance::disks::next(&observed.disks, moves) {
        let topic = shift.place.topic.to_string();
        let one = LogDirMove { topic, partition: shift.place.index, to: shift.to.to_string() };
        by_broker.entry(shift.broker).or_default().push(one);
    }
    let steps = disks::brokers(observed).into_iter().filter_map(|broker| {
        let moves = by_broker.remove(&broker.id)?;
        Some(Step::Ask(Request::Shift { broker, moves }))
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ottla_core::ids::BrokerId;
    use uuid::Uuid;

    use super::*;
    use crate::{
        balance::{
            Place,
            disks::{Directory, Disks, Replica},
        },
        cluster::{
            observe::Kafka,
            plan::{Plan, plan},
            testing::{of_brokers, settled, valid},
        },
        kafka::{BrokerAt, PartitionPlacement, TopicPlacement},
    };

    const GB: u64 = 1 << 30;

    /// Four replicas on the first disk of each of two brokers, and an empty disk beside it.
    fn uneven(spec: &str) -> Observed {
        let mut observed = settled(spec);
        let place = |index| Place { topic: "orders".into(), index };
        let disks = |broker| {
            let replicas = (0..4).map(|index| Replica { place: place(index), bytes: 10 * GB, is_arriving: false });
            let directory = |path: &str, replicas| Directory { path: Arc::from(path), size: 100 * GB, replicas };
            let directories = vec![directory("/a", replicas.collect()), directory("/b", Vec::new())];
            Disks { broker: BrokerId(broker), directories }
        };
        observed.disks = vec![disks(0), disks(1)];
        observed
    }

    fn steps(observed: &Observed) -> Plan {
        plan(&valid(observed).unwrap(), observed, [Uuid::nil(); 2]).unwrap()
    }

    fn shift(id: i32) -> Step {
        let broker = BrokerAt { id: BrokerId(id), address: format!("10.0.0.{id}:9092") };
        let moves = vec![LogDirMove { topic: "orders".to_owned(), partition: 0, to: "/b".to_owned() }];
        Step::Ask(Request::Shift { broker, moves })
    }

    #[test]
    fn each_broker_is_asked_for_its_own_and_no_more_than_may_move_at_once() {
        assert_eq!(steps(&uneven(&of_brokers(2))), [shift(0), shift(1)]);
        let one_at_a_time = format!("{}\nrebalance: {{maxConcurrentMoves: 1}}", of_brokers(2));
        assert_eq!(steps(&uneven(&one_at_a_time)), [shift(0)]);
        assert!(shift(0).only_balances());
    }

    #[test]
    fn nothing_is_shifted_while_partitions_move_or_a_pod_waits_for_its_restart() {
        let mut observed = uneven(&of_brokers(2));
        let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!("it was asked") };
        let (leader, bytes) = (Some(BrokerId(0)), Some(0));
        let (target, adding, removing) = (vec![BrokerId(1)], vec![BrokerId(1)], vec![BrokerId(0)]);
        let in_sync = vec![BrokerId(0)];
        let moving = PartitionPlacement { index: 0, target, adding, removing, in_sync, leader, bytes };
        let topic = TopicPlacement { topic: "t".to_owned(), min_in_sync: 1, partitions: vec![moving] };
        controller.placements = vec![topic];
        assert_eq!(steps(&observed), []);
        let mut observed = uneven(&of_brokers(2));
        observed.pods[1] = crate::cluster::testing::pod(1, "another", true);
        assert!(matches!(steps(&observed)[..], [Step::Restart(_)]));
    }
}
