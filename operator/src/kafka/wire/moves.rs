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
        unregister_broker::UnregisterBrokerRequest,
    },
};

use super::{super::*, CHANGE_TIMEOUT_MS, Wire, check};

const PREFERRED: i8 = 0;

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
