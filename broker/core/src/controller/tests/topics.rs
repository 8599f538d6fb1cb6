//! Topics: exact records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::testing::{Cluster, directory};
use super::super::*;
use crate::metadata::{LeaderRecovery, Partition, Record, Replica, Resource, local_changes};
use crate::{BrokerId, LeaderEpoch, PartitionEpoch, TopicName};

fn first_state(brokers: &[i32], isr: &[i32]) -> Arc<Partition> {
    let replica = |id: &i32| Replica { broker: BrokerId(*id), directory: directory(*id) };
    Arc::new(Partition {
        replicas: brokers.iter().map(replica).collect(),
        isr: isr.iter().copied().map(BrokerId).collect(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        leader: BrokerId(isr[0]),
        recovery: LeaderRecovery::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        unflushed: false,
    })
}

#[test]
fn a_topic_is_its_name_its_configuration_and_its_partitions() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.fence(2);
    let id = cluster.next_topic_id();
    let topic = NewTopic {
        assignments: vec![
            PartitionAssignment { partition: 1, brokers: vec![BrokerId(1), BrokerId(0)] },
            PartitionAssignment { partition: 0, brokers: vec![BrokerId(2), BrokerId(1)] },
        ],
        configs: vec![("retention.ms".into(), Some("1".into())), ("retention.ms".into(), Some("2".into()))],
        ..NewTopic::with_defaults("orders", id)
    };
    let (records, results) = cluster.decide(CreateTopics { topics: vec![topic], validate_only: false }).unwrap();
    let created = CreatedTopic { id, partitions: 2, replication_factor: 2 };
    assert_eq!(results, [("orders".to_owned(), Ok(created))]);
    assert_eq!(
        records,
        [
            Record::TopicCreated { name: TopicName::new("orders").unwrap(), id },
            Record::ConfigChanged {
                resource: Resource::topic("orders"),
                key: "retention.ms".into(),
                value: Some("2".into())
            },
            Record::PartitionCreated { topic: id, partition: 0, state: first_state(&[2, 1], &[1]) },
            Record::PartitionCreated { topic: id, partition: 1, state: first_state(&[1, 0], &[1, 0]) },
        ]
    );
}

#[test]
fn validating_alone_answers_alike_and_changes_nothing() {
    let mut cluster = Cluster::with_brokers(1);
    let id = cluster.next_topic_id();
    let create = |validate_only| CreateTopics { topics: vec![NewTopic::with_defaults("t", id)], validate_only };
    let (records, validated) = cluster.decide(create(true)).unwrap();
    assert_eq!(records, []);
    assert_eq!(validated, cluster.run(create(false)).unwrap());
}

#[test]
fn new_topics_collide_with_each_other_too() {
    let mut cluster = Cluster::with_brokers(1);
    let topics = ["a.b", "a_b", "a-b"].map(|name| NewTopic::with_defaults(name, cluster.next_topic_id()));
    let results = cluster.run(CreateTopics { topics: topics.into(), validate_only: false }).unwrap();
    let created: Vec<_> = results.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(created, [true, false, true]);
    assert_eq!(results[1].1.as_ref().unwrap_err().to_string(), "Topic 'a_b' collides with existing topic: a.b");
}

#[test]
fn a_deleted_topic_takes_its_configuration_along_and_frees_its_name() {
    let mut cluster = Cluster::with_brokers(1);
    cluster.topic("a.b", &[&[0]], &[("retention.ms", "1")]);
    let id = cluster.get("a.b").id;
    let old = cluster.image.clone();
    let deletion = DeleteTopics { topics: vec![TopicRef { name: None, id }] };
    let (records, _) = cluster.decide(deletion).unwrap();
    assert_eq!(records, [Record::TopicDeleted { id }]);
    assert_eq!((cluster.image.configs().count(), cluster.image.partition_count()), (1, 0)); // the cluster's own
    cluster.topic("a_b", &[&[0]], &[]);
    let changes = local_changes(&old, &cluster.image, BrokerId(0));
    assert_eq!((changes.delete.len(), changes.lead.len(), changes.follow.len()), (1, 1, 0));
    assert_eq!(changes.lead[0].partition.to_string(), "a_b-0");
}

#[test]
fn a_topic_grows_with_as_many_copies_as_it_has() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.topic("t", &[&[0, 1]], &[]);
    let grow = |assignments| CreatePartitions {
        topics: vec![MorePartitions { topic: "t".into(), count: 3, assignments }],
        validate_only: false,
    };
    let refused = cluster.run(grow(Some(vec![vec![BrokerId(0)], vec![BrokerId(1)]]))).unwrap();
    assert!(refused[0].1.as_ref().unwrap_err().to_string().contains("which have 2 replica(s)"));
    let (records, _) = cluster.decide(grow(Some(vec![vec![BrokerId(1), BrokerId(2)]; 2]))).unwrap();
    let topic = cluster.get("t").id;
    let state = || first_state(&[1, 2], &[1, 2]);
    assert_eq!(records, [1, 2].map(|partition| Record::PartitionCreated { topic, partition, state: state() }));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is measured is the time it takes")]
fn ten_thousand_partitions_are_decided_applied_and_delivered_fast() {
    let mut cluster = Cluster::with_brokers(3);
    let id = cluster.next_topic_id();
    let topic = NewTopic { partitions: 10_000, replication_factor: 3, ..NewTopic::with_defaults("big", id) };
    let old = cluster.image.clone();
    let begun = Instant::now();
    cluster.run(CreateTopics { topics: vec![topic], validate_only: false }).unwrap();
    let changes = local_changes(&old, &cluster.image, BrokerId(0));
    let taken = begun.elapsed();
    assert_eq!(changes.lead.len() + changes.follow.len(), 10_000);
    // Without optimisation, on a loaded machine; optimised it is some 20 ms.
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}

#[test]
fn records_cannot_be_kept_from_a_clean_for_longer_than_they_may_wait_for_it() {
    let mut cluster = Cluster::with_brokers(1);
    let mut create = |configs: &[(&str, &str)]| {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        let topic = NewTopic { configs, ..NewTopic::with_defaults("t", cluster.next_topic_id()) };
        cluster.run(CreateTopics { topics: vec![topic], validate_only: true }).unwrap().remove(0).1
    };
    assert!(create(&[("min.compaction.lag.ms", "5"), ("max.compaction.lag.ms", "5")]).is_ok());
    assert!(create(&[("min.compaction.lag.ms", "5")]).is_ok());
    let refused = create(&[("min.compaction.lag.ms", "6"), ("max.compaction.lag.ms", "5")]);
    assert!(matches!(refused, Err(Error::InvalidConfig(_))), "{refused:?}");
}
