//! Topics whose replicas are where they are wanted, and leaders too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, ClusterMetadata, PartitionMetadata};
use ottla_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use ottla_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::elect_leaders::TopicPartitions;
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, CreateTopicsRequest, ElectLeadersRequest};

use super::Cluster;

/// A partition, and the brokers that hold it or are to hold it, the preferred leader first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned<'t> {
    /// The topic.
    pub topic: &'t str,
    /// The index.
    pub index: i32,
    /// The brokers.
    pub brokers: Vec<usize>,
}

/// Makes a topic whose partitions are on these brokers; one that is there already is left as it is.
pub async fn make_topic(
    client: &Client,
    name: &str,
    partitions: &[&[usize]],
    configs: &[(&str, &str)],
) -> anyhow::Result<()> {
    let assignment = |(index, brokers): (usize, &&[usize])| CreatableReplicaAssignment {
        partition_index: index as i32,
        broker_ids: ids(brokers),
    };
    let config =
        |(name, value): &(&str, &str)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: partitions.iter().enumerate().map(assignment).collect(),
        configs: configs.iter().map(config).collect(),
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let response = client.send_to_controller(&request).await?;
    let code = response.topics.first().context("the answer lacks the topic")?.error_code;
    let there = matches!(code, ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS);
    ensure!(there, "cannot make {name}: {code:?}");
    Ok(())
}

impl Cluster {
    /// Makes a topic of one partition with these replicas, one of which is enough to take records; returns once the
    /// first of them serves it. One that is there already is as good.
    pub async fn make_topic(&self, name: &str, replicas: &[usize], within: Duration) -> anyhow::Result<()> {
        let client = self.client(within).await?;
        make_topic(&client, name, &[replicas], &[("min.insync.replicas", "1")]).await?;
        // What the metadata says, the leader may not have heard yet.
        client.list_offset(name, 0, -1).await?;
        Ok(())
    }

    /// Makes the first broker of each partition its leader; all of them must be where the partition is already.
    pub async fn lead(&self, wanted: &[Assigned<'_>], within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        let client = self.client(within).await?;
        let topics: Vec<&str> = wanted.iter().map(|one| one.topic).collect();
        loop {
            let metadata = client.refresh_metadata(&topics).await?;
            let left: Vec<&Assigned<'_>> = wanted.iter().filter(|one| !is_led(one, &metadata)).collect();
            if left.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{left:?} are not led so after {within:?}");
            // Whether it was taken shows in the metadata.
            let _ = client.send_to_controller(&reassignment(&left)).await;
            let _ = client.send_to_controller(&election(&left)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives partitions back to their preferred leaders, as far as that works within `within`: whoever needs a certain
    /// leader looks who it is.
    pub async fn elect_preferred_leaders(&self, partitions: &[Assigned<'_>], within: Duration) {
        let Ok(client) = self.client(within).await else { return };
        let topics: Vec<&str> = partitions.iter().map(|one| one.topic).collect();
        let elect = async {
            loop {
                // What was asked of a controller that went shows in the metadata, as does what another broker did not hear yet.
                let metadata = client.refresh_metadata(&topics).await;
                let is_left = |one: &&Assigned<'_>| !metadata.as_ref().is_ok_and(|metadata| is_led(one, metadata));
                let left: Vec<&Assigned<'_>> = partitions.iter().filter(is_left).collect();
                if left.is_empty() {
                    return;
                }
                let _ = client.send_to_controller(&election(&left)).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(within, elect).await;
    }
}

fn is_led(wanted: &Assigned<'_>, metadata: &ClusterMetadata) -> bool {
    let of = |topic: &str| metadata.topics.get(topic)?.partitions.get(&wanted.index);
    of(wanted.topic).is_some_and(|known: &PartitionMetadata| {
        let replicas: Vec<i32> = known.replicas.iter().map(|broker| broker.0).collect();
        replicas == ids(&wanted.brokers) && known.leader.map(|leader| leader.0) == replicas.first().copied()
    })
}

fn reassignment(wanted: &[&Assigned<'_>]) -> AlterPartitionReassignmentsRequest {
    let partition =
        |one: &Assigned<'_>| ReassignablePartition { partition_index: one.index, replicas: Some(ids(&one.brokers)) };
    let topics = by_topic(wanted)
        .into_iter()
        .map(|(name, of)| ReassignableTopic { name: name.into(), partitions: of.into_iter().map(partition).collect() });
    AlterPartitionReassignmentsRequest { topics: topics.collect(), ..Default::default() }
}

fn election(wanted: &[&Assigned<'_>]) -> ElectLeadersRequest {
    let topics = by_topic(wanted).into_iter().map(|(topic, of)| TopicPartitions {
        topic: topic.into(),
        partitions: of.into_iter().map(|one| one.index).collect(),
    });
    ElectLeadersRequest { topic_partitions: Some(topics.collect()), ..Default::default() }
}

fn by_topic<'w, 't>(wanted: &[&'w Assigned<'t>]) -> BTreeMap<&'t str, Vec<&'w Assigned<'t>>> {
    let mut topics: BTreeMap<&str, Vec<&Assigned<'_>>> = BTreeMap::new();
    wanted.iter().for_each(|one| topics.entry(one.topic).or_default().push(one));
    topics
}

fn ids(brokers: &[usize]) -> Vec<i32> {
    brokers.iter().map(|broker| *broker as i32).collect()
}
