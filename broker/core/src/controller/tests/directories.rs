//! Log directories that fail, are replaced, and receive copies.

use uuid::Uuid;

use super::super::testing::{Cluster, directory, registration};
use super::super::*;
use crate::{BrokerId, DirectoryId};

fn second(id: i32) -> DirectoryId {
    DirectoryId(Uuid::from_u128(1000 + u128::try_from(id).unwrap()))
}

/// Three brokers with two directories each, two partitions on all three, min.insync.replicas 2.
fn cluster() -> Cluster {
    let mut cluster = Cluster::founded(&[]);
    for id in 0..3 {
        let directories = vec![directory(id), second(id)];
        cluster.run(RegisterBroker { directories, ..registration(id, 1) }).unwrap();
        cluster.unfence(id);
    }
    cluster.topic("t", &[&[0, 1, 2], &[0, 1, 2]], &[("min.insync.replicas", "2")]);
    cluster
}

fn directory_of(cluster: &Cluster, partition: i32, broker: i32) -> DirectoryId {
    cluster.partition("t", partition).replica_on(BrokerId(broker)).unwrap().directory
}

fn fail(cluster: &mut Cluster, broker: i32, failed: DirectoryId) -> Vec<Record> {
    let epoch = cluster.epoch(broker);
    cluster.decide(FailDirectories { broker: BrokerId(broker), epoch, failed: vec![failed] }).unwrap().0
}

#[test]
fn a_failed_directory_takes_only_its_own_replicas_out_and_moves_their_leaders() {
    let mut cluster = cluster();
    assert_eq!((directory_of(&cluster, 0, 0), directory_of(&cluster, 1, 0)), (directory(0), second(0)));
    assert_eq!(fail(&mut cluster, 0, directory(0)).len(), 2);
    assert_eq!(cluster.roles("t", 0), (1, vec![1, 2], vec![]));
    assert_eq!(cluster.roles("t", 1), (0, vec![0, 1, 2], vec![]));
    assert_eq!(fail(&mut cluster, 0, directory(0)), [], "it is known by now");
}

#[test]
fn a_replica_in_a_failed_directory_stays_eligible_but_neither_leads_nor_joins_until_it_is_back() {
    let mut cluster = cluster();
    fail(&mut cluster, 0, directory(0));
    fail(&mut cluster, 1, directory(1));
    fail(&mut cluster, 2, directory(2));
    let state = cluster.partition("t", 0);
    assert_eq!((state.leader, state.isr.len(), state.elr.len()), (BrokerId::NONE, 0, 2));
    assert_eq!(cluster.propose("t", 1, &[0, 1, 2]).unwrap().isr.len(), 3);
    // Broker 1 stops and starts; its directory is back.
    let previous = PreviousStop::Clean(cluster.epoch(1));
    let directories = vec![directory(1), second(1)];
    cluster.run(RegisterBroker { directories, previous, ..registration(1, 2) }).unwrap();
    cluster.unfence(1);
    assert_eq!(cluster.roles("t", 0), (1, vec![1], vec![2]));
    assert_eq!(cluster.propose("t", 0, &[0, 1]), Err(PartitionFault::IneligibleReplica(BrokerId(0))));
}

#[test]
fn the_copies_in_an_only_directory_that_is_replaced_begin_anew_in_the_new_one() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.topic("t", &[&[0, 1, 2]], &[]);
    cluster.fence(2);
    let directories = vec![second(2)];
    cluster.run(RegisterBroker { directories, ..registration(2, 2) }).unwrap();
    assert_eq!(directory_of(&cluster, 0, 2), second(2));
    assert_eq!(cluster.roles("t", 0), (0, vec![0, 1], vec![]));
    cluster.unfence(2);
    assert_eq!(cluster.propose("t", 0, &[0, 1, 2]).unwrap().isr.len(), 3);
}

#[test]
fn a_broker_says_where_its_copies_lie() {
    let mut cluster = cluster();
    let (topic, epoch) = (cluster.get("t").id, cluster.epoch(1));
    let replicas = vec![
        (topic, 0, second(1)),
        (topic, 7, second(1)),
        (crate::TopicId::ZERO, 0, second(1)),
        (topic, 1, directory(2)),
    ];
    let (records, answers) = cluster.decide(AssignReplicas { broker: BrokerId(1), epoch, replicas }).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(directory_of(&cluster, 0, 1), second(1));
    assert_eq!(answers[0], Ok(()));
    assert!(matches!(answers[1], Err(Error::UnknownTopicOrPartition(_))));
    assert_eq!(answers[2], Err(Error::UnknownTopicId));
    assert_eq!(answers[3], Ok(()), "a directory that it does not have: the copy is offline");
    assert_eq!(cluster.roles("t", 1), (0, vec![0, 2], vec![]));
    let replicas = vec![(topic, 0, second(1))];
    let (records, _) = cluster.decide(AssignReplicas { broker: BrokerId(1), epoch, replicas }).unwrap();
    assert_eq!(records, []);
}
