//! Reassignments, elections and farewells by Kafka's own APIs.

use std::collections::BTreeMap;

use ottla_protocol::{
    ErrorCode,
    codec::Str,
    messages::{
        alter_partition_reassignments::{
            AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignablePartitionResponse, ReassignableTopic,
        },
        elect_leaders::{ElectLeadersRequest, TopicPartitions},
        list_partition_reassignments::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics},
        unregister_broker::UnregisterBrokerRequest,
    },
};

use super::{super::*, CHANGE_TIMEOUT_MS, Link, Wire, check};

const PREFERRED: i8 = 0;

/// Writes into `topics` which of their partitions move.
pub(super) async fn note_moves(link: &Link, mut topics: Vec<&mut TopicView>) -> Result<()> {
    let asked = |topic: &&mut TopicView| ListPartitionReassignmentsTopics {
        name: Str::from(&topic.name),
        partition_indexes: (0..).take(topic.partitions.len()).collect(),
    };
    let request = ListPartitionReassignmentsRequest {
        topics: Some(topics.iter().map(asked).collect()),
        ..ListPartitionReassignmentsRequest::default()
    };
    let answer = link.ask(&request).await?;
    check(answer.error_code, answer.error_message.as_ref())?;
    let ids = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect();
    for moving in answer.topics {
        let Some(topic) = topics.iter_mut().find(|topic| topic.name == moving.name.as_str()) else { continue };
        for moving in moving.partitions {
            let index = usize::try_from(moving.partition_index).ok();
            if let Some(partition) = index.and_then(|index| topic.partitions.get_mut(index)) {
                partition.adding = ids(moving.adding_replicas);
                partition.removing = ids(moving.removing_replicas);
            }
        }
    }
    Ok(())
}

impl Wire {
    pub(super) async fn alter_reassignments(&self, wanted: &[Reassignment]) -> Result<Vec<NotReassigned>> {
        let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
        for one in wanted {
            let replicas = one.replicas.as_ref().map(|brokers| brokers.iter().map(|broker| broker.0).collect());
            let partition = ReassignablePartition { partition_index: one.partition, replicas };
            topics.entry(&one.topic).or_default().push(partition);
        }
        let topic = |(name, partitions)| ReassignableTopic { name: Str::from(name), partitions };
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: CHANGE_TIMEOUT_MS,
            topics: topics.into_iter().map(topic).collect(),
            ..AlterPartitionReassignmentsRequest::default()
        };
        let answer = self.ask(&request).await?;
        check(answer.error_code, answer.error_message.as_ref())?;
        let answers = answer.responses.into_iter().flat_map(|topic| {
            let name = topic.name.as_str().to_owned();
            topic.partitions.into_iter().map(move |partition| (name.clone(), partition))
        });
        Ok(answers.filter_map(|(topic, partition)| not_reassigned(topic, partition)).collect())
    }

    pub(super) async fn elect(&self, partitions: &[(String, i32)]) -> Result<()> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in partitions {
            topics.entry(topic).or_default().push(*partition);
        }
        let topic = |(name, partitions)| TopicPartitions { topic: Str::from(name), partitions };
        let request = ElectLeadersRequest {
            election_type: PREFERRED,
            topic_partitions: Some(topics.into_iter().map(topic).collect()),
            timeout_ms: CHANGE_TIMEOUT_MS,
        };
        // What comes of each election shows where the leaders are.
        let answer = self.ask(&request).await?;
        check(answer.error_code, None)
    }

    pub(super) async fn forget_broker(&self, broker: BrokerId) -> Result<()> {
        let request = UnregisterBrokerRequest { broker_id: broker.0 };
        let answer = self.ask(&request).await?;
        if answer.error_code == ErrorCode::BROKER_ID_NOT_REGISTERED {
            return Ok(());
        }
        check(answer.error_code, answer.error_message.as_ref())
    }
}

fn not_reassigned(topic: String, answer: ReassignablePartitionResponse) -> Option<NotReassigned> {
    if answer.error_code == ErrorCode::NO_REASSIGNMENT_IN_PROGRESS {
        return None;
    }
    let error = check(answer.error_code, answer.error_message.as_ref()).err()?;
    Some(NotReassigned { topic, partition: answer.partition_index, reason: error.to_string() })
}
