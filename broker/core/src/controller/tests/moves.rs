//! Reassignments from beginning to end.

use proptest::prelude::*;

use super::super::testing::{Cluster, directory, registration};
use super::super::*;
use crate::metadata::{Partition, Record};
use crate::{BrokerId, DirectoryId};

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn reassign(cluster: &mut Cluster, target: Option<&[i32]>) -> (Vec<Record>, Result<(), Error>) {
    let reassignments = vec![Reassignment { topic: "t".into(), partition: 0, target: target.map(brokers) }];
    let command = AlterPartitionReassignments { reassignments, allow_replication_factor_change: true };
    let (records, mut results) = cluster.decide(command).unwrap();
    (records, results.remove(0))
}

/// Replicas, adding and removing.
fn sets(cluster: &Cluster) -> [Vec<i32>; 3] {
    let state = cluster.partition("t", 0);
    let numbers = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    [state.brokers().map(|id| id.0).collect(), numbers(&state.adding), numbers(&state.removing)]
}

/// Six brokers, one partition on 0, 1 and 2, min.insync.replicas 2.
fn cluster() -> Cluster {
    let mut cluster = Cluster::with_brokers(6);
    cluster.topic("t", &[&[0, 1, 2]], &[("min.insync.replicas", "2")]);
    cluster
}

#[test]
fn a_move_adds_waits_for_the_isr_and_removes() {
    let mut cluster = cluster();
    let epoch = cluster.partition("t", 0).leader_epoch;
    assert_eq!(reassign(&mut cluster, Some(&[4, 3, 2])).1, Ok(()));
    assert_eq!(sets(&cluster), [vec![4, 3, 2, 0, 1], vec![4, 3], vec![0, 1]]);
    assert_eq!(cluster.roles("t", 0), (0, vec![0, 1, 2], vec![]));
    assert_eq!(reassign(&mut cluster, Some(&[4, 3, 2])).0, [], "it is under way");
    cluster.propose("t", 0, &[0, 1, 2, 3]).unwrap();
    assert!(cluster.partition("t", 0).is_moving());
    cluster.propose("t", 0, &[0, 1, 2, 3, 4]).unwrap();
    assert_eq!(sets(&cluster), [vec![4, 3, 2], vec![], vec![]]);
    assert_eq!(cluster.roles("t", 0), (4, vec![2, 3, 4], vec![]), "the first of the target leads");
    assert!(cluster.partition("t", 0).leader_epoch > epoch);
    assert_eq!(cluster.partition("t", 0).replica_on(BrokerId(4)).unwrap().directory, directory(4));
    assert_eq!(reassign(&mut cluster, Some(&[4, 3, 2])).0, [], "it is what it should be");
}

#[test]
fn an_order_and_a_lower_factor_are_there_at_once() {
    let mut cluster = cluster();
    reassign(&mut cluster, Some(&[2, 0, 1])).1.unwrap();
    assert_eq!(sets(&cluster), [vec![2, 0, 1], vec![], vec![]]);
    assert_eq!(cluster.roles("t", 0).0, 0, "a change of order elects nobody");
    reassign(&mut cluster, Some(&[1, 2])).1.unwrap();
    assert_eq!(sets(&cluster), [vec![1, 2], vec![], vec![]]);
    assert_eq!(cluster.roles("t", 0), (1, vec![1, 2], vec![]));
}

#[test]
fn nothing_is_removed_while_the_isr_would_fall_below_its_minimum() {
    let mut cluster = cluster();
    cluster.propose("t", 0, &[0, 1]).unwrap();
    reassign(&mut cluster, Some(&[1, 2])).1.unwrap();
    assert_eq!(sets(&cluster), [vec![1, 2, 0], vec![], vec![0]]);
    cluster.propose("t", 0, &[0, 1, 2]).unwrap();
    assert_eq!(sets(&cluster), [vec![1, 2], vec![], vec![]]);
}

#[test]
fn a_cancelled_move_is_undone_at_once_or_when_the_isr_can_do_without_what_it_added() {
    let mut cluster = cluster();
    assert_eq!(reassign(&mut cluster, None).1, Err(Error::NoReassignmentInProgress));
    reassign(&mut cluster, Some(&[3, 4, 0])).1.unwrap();
    reassign(&mut cluster, None).1.unwrap();
    assert_eq!(sets(&cluster), [vec![0, 1, 2], vec![], vec![]]);
    reassign(&mut cluster, Some(&[3, 4, 0])).1.unwrap();
    cluster.propose("t", 0, &[0, 3]).unwrap();
    reassign(&mut cluster, None).1.unwrap();
    assert_eq!(sets(&cluster), [vec![0, 1, 2, 3], vec![3], vec![3]], "4 never mattered, 3 is needed");
    cluster.propose("t", 0, &[0, 1, 3]).unwrap();
    assert_eq!(sets(&cluster), [vec![0, 1, 2], vec![], vec![]]);
    assert_eq!(cluster.roles("t", 0), (0, vec![0, 1], vec![]));
}

#[test]
fn a_move_whose_additions_alone_are_in_sync_cannot_be_cancelled() {
    let mut cluster = cluster();
    reassign(&mut cluster, Some(&[3, 4, 5])).1.unwrap();
    cluster.propose("t", 0, &[0, 3]).unwrap();
    cluster.fence(0);
    assert_eq!(cluster.roles("t", 0), (3, vec![3], vec![0]));
    let (records, result) = reassign(&mut cluster, None);
    let text = "Unable to revert partition assignment for t:0 because it would require an unclean leader election.";
    assert_eq!((records, result), (vec![], Err(Error::InvalidReplicaAssignment(text.into()))));
}

#[test]
fn another_target_takes_the_place_of_a_pending_one_and_the_original_is_remembered() {
    let mut cluster = cluster();
    reassign(&mut cluster, Some(&[3, 4, 5])).1.unwrap();
    reassign(&mut cluster, Some(&[5, 0, 1])).1.unwrap();
    assert_eq!(sets(&cluster), [vec![5, 0, 1, 2], vec![5], vec![2]]);
    reassign(&mut cluster, None).1.unwrap();
    assert_eq!(sets(&cluster), [vec![0, 1, 2], vec![], vec![]]);
}

#[test]
fn impossible_targets_are_refused_as_kafka_refuses_them() {
    let mut cluster = cluster();
    cluster.cordon(5);
    let mut refused = |topic: &str, partition, target: &[i32], may_change| {
        let reassignments = vec![Reassignment { topic: topic.into(), partition, target: Some(brokers(target)) }];
        let command = AlterPartitionReassignments { reassignments, allow_replication_factor_change: may_change };
        let (records, mut results) = cluster.decide(command).unwrap();
        assert_eq!(records, []);
        let error = results.remove(0).unwrap_err();
        (error.to_string(), error)
    };
    let assignment = |text: &str| (text.to_owned(), Error::InvalidReplicaAssignment(text.to_owned().into()));
    assert_eq!(refused("x", 0, &[1], true).0, "Unable to find a topic named x.");
    assert_eq!(refused("t", 9, &[1], true).0, "Unable to find partition t:9.");
    assert_eq!(
        refused("t", 0, &[], true),
        assignment("The manual partition assignment includes an empty replica list.")
    );
    let text = "The manual partition assignment includes broker 9, but no such broker is registered.";
    assert_eq!(refused("t", 0, &[0, 9], true), assignment(text));
    let text = "The manual partition assignment includes the broker 1 more than once.";
    assert_eq!(refused("t", 0, &[1, 2, 1], true), assignment(text));
    let text = "The manual partition assignment includes broker 5, which is cordoned.";
    assert_eq!(refused("t", 0, &[0, 1, 5], true), assignment(text));
    let text = "The replication factor is changed from 3 to 2";
    assert_eq!(refused("t", 0, &[0, 1], false).1, Error::InvalidReplicationFactor(text.into()));
}

#[test]
fn the_factor_of_a_partition_that_moves_is_that_of_its_target_also_for_new_partitions() {
    let mut cluster = cluster();
    reassign(&mut cluster, Some(&[3, 4])).1.unwrap();
    let topics = vec![MorePartitions { topic: "t".into(), count: 2, assignments: None }];
    cluster.run(CreatePartitions { topics, validate_only: false }).unwrap();
    assert_eq!(cluster.partition("t", 1).replicas.len(), 2);
}

#[test]
fn an_added_copy_lies_in_the_directory_with_the_fewest() {
    let mut cluster = cluster();
    let two = vec![directory(6), DirectoryId(uuid::Uuid::from_u128(99))];
    cluster.run(RegisterBroker { directories: two.clone(), ..registration(6, 1) }).unwrap();
    cluster.unfence(6);
    let mut chosen = Vec::new();
    for topic in ["a", "b", "c", "d"] {
        cluster.topic(topic, &[&[0]], &[]);
        let reassignments = vec![Reassignment { topic: topic.into(), partition: 0, target: Some(brokers(&[6])) }];
        cluster.run(AlterPartitionReassignments { reassignments, allow_replication_factor_change: true }).unwrap();
        chosen.push(cluster.partition(topic, 0).replica_on(BrokerId(6)).unwrap().directory);
    }
    chosen.sort();
    let mut expected = [two.clone(), two].concat();
    expected.sort();
    assert_eq!(chosen, expected);
}

/// What happens while a partition moves.
#[derive(Clone, Debug)]
enum Event {
    Target(Vec<i32>),
    Cancel,
    Isr(u8),
    Fence(i32),
    Return(i32),
}

fn event() -> impl Strategy<Value = Event> {
    let target = Just((0..6_i32).collect::<Vec<_>>())
        .prop_shuffle()
        .prop_flat_map(|ids| (1..=4_usize).prop_map(move |factor| Event::Target(ids[..factor].to_vec())));
    prop_oneof![
        2 => target,
        1 => Just(Event::Cancel),
        6 => any::<u8>().prop_map(Event::Isr),
        1 => (0..6_i32).prop_map(Event::Fence),
        3 => (0..6_i32).prop_map(Event::Return),
    ]
}

fn return_to_service(cluster: &mut Cluster, id: i32) {
    if cluster.image.broker(BrokerId(id)).is_some_and(|broker| broker.fenced) {
        cluster.unfence(id);
    }
}

fn propose(cluster: &mut Cluster, members: u8) {
    let state = cluster.partition("t", 0).clone();
    let in_sync = |id: &BrokerId| *id == state.leader || (members & (1 << id.0) != 0 && cluster.image.is_active(*id));
    if state.leader != BrokerId::NONE {
        let isr: Vec<i32> = state.brokers().filter(in_sync).map(|id| id.0).collect();
        cluster.propose("t", 0, &isr).unwrap();
    }
}

/// A proposal of the leader is the only thing that may shrink the ISR below its minimum; a move never does.
fn check_step(before: &Partition, after: &Partition, event: &Event) -> Result<(), TestCaseError> {
    if matches!(event, Event::Target(_) | Event::Cancel) {
        let minimum = after.effective_min_isr(2);
        prop_assert!(after.isr.len() >= minimum.min(before.isr.len()), "{before:?} {event:?} {after:?}");
    }
    let gone = before.brokers().any(|broker| after.replica_on(broker).is_none());
    prop_assert!(!gone || after.leader_epoch > before.leader_epoch);
    prop_assert_eq!(before != after, after.partition_epoch > before.partition_epoch);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_meanwhile_a_move_ends_in_exactly_its_target(events in prop::collection::vec(event(), 1..60)) {
        let mut cluster = cluster();
        let mut target = vec![0, 1, 2];
        let mut original = target.clone();
        for event in &events {
            let before = cluster.partition("t", 0).clone();
            match event {
                Event::Target(ids) => {
                    reassign(&mut cluster, Some(ids)).1.unwrap();
                    target.clone_from(ids);
                }
                Event::Cancel => {
                    if reassign(&mut cluster, None).1.is_ok() {
                        target.clone_from(&original);
                    }
                }
                Event::Isr(members) => propose(&mut cluster, *members),
                Event::Fence(id) => cluster.fence(*id),
                Event::Return(id) => return_to_service(&mut cluster, *id),
            }
            let after = cluster.partition("t", 0);
            check_step(&before, after, event)?;
            let mut sorted: Vec<_> = after.target().map(|id| id.0).collect();
            sorted.sort_unstable();
            target.sort_unstable();
            prop_assert_eq!(&sorted, &target);
            if !after.is_moving() {
                original.clone_from(&target);
            }
        }
        (0..6).for_each(|id| return_to_service(&mut cluster, id));
        propose(&mut cluster, u8::MAX);
        let state = cluster.partition("t", 0);
        let mut ended: Vec<_> = state.brokers().map(|id| id.0).collect();
        ended.sort_unstable();
        prop_assert_eq!((ended, state.is_moving(), state.isr.len()), (target.clone(), false, target.len()));
    }
}

#[test]
fn an_unclean_election_prefers_a_copy_of_old_to_one_that_is_being_added() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.topic("t", &[&[0, 1]], &[("unclean.leader.election.enable", "true")]);
    cluster.propose("t", 0, &[0]).unwrap();
    reassign(&mut cluster, Some(&[2, 1])).1.unwrap();
    assert_eq!(sets(&cluster), [vec![2, 1, 0], vec![2], vec![0]]);
    cluster.fence(0);
    assert_eq!(cluster.roles("t", 0), (1, vec![1], vec![]));
}

#[test]
fn a_copy_added_in_vain_stays_while_nobody_else_holds_everything() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.topic("t", &[&[0]], &[]);
    reassign(&mut cluster, Some(&[1, 2])).1.unwrap();
    cluster.propose("t", 0, &[0, 1]).unwrap();
    reassign(&mut cluster, Some(&[2])).1.unwrap();
    // Both restart: what each leaves behind in the ISR is the other, and then nobody.
    cluster.run(registration(0, 2)).unwrap();
    assert_eq!(cluster.roles("t", 0).0, 1);
    cluster.run(registration(1, 2)).unwrap();
    assert!(sets(&cluster)[0].contains(&1), "{:?}", cluster.partition("t", 0));
    assert!(cluster.roles("t", 0).2.contains(&1), "{:?}", cluster.partition("t", 0));
}
