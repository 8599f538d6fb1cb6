//! DescribeTopicPartitions: partitions with their eligible leaders, page by page (KIP-966).

use std::collections::BTreeSet;

use ottla_core::controller::internal_topics::is_internal;
use ottla_core::metadata::{Image, Partition, Topic};
use ottla_core::{BrokerId, TopicName};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use super::Context;
use super::metadata::offline_replicas;

/// The most partitions of one answer (`max.request.partition.size.limit`).
const PARTITIONS_AT_MOST: usize = 2_000;
/// Every operation on a topic, as bits (KIP-430).
const ALL_TOPIC_OPERATIONS: i32 = 3_576;

/// Answers from the image, topics in order of their names.
pub async fn handle(context: Context, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let image = context.broker.image();
    let mut names: BTreeSet<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    if names.is_empty() {
        names = image.topics().iter().map(|topic| topic.name.to_string()).collect();
    }
    let mut first_partition = 0;
    if let Some(cursor) = &request.cursor {
        names = names.split_off(cursor.topic_name.as_str());
        if names.first().is_some_and(|name| name == cursor.topic_name.as_str()) {
            first_partition = cursor.partition_index.max(0);
        }
    }
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_AT_MOST);
    page(&image, names, first_partition, limit)
}

fn page(
    image: &Image,
    names: BTreeSet<String>,
    mut first_partition: i32,
    mut left: usize,
) -> DescribeTopicPartitionsResponse {
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        let Some(topic) = image.topic(&name) else {
            response.topics.push(unknown(&name));
            continue;
        };
        if left == 0 {
            let cursor = Cursor { topic_name: name.as_str().into(), partition_index: first_partition };
            response.next_cursor = Some(cursor);
            break;
        }
        let rest = topic.indexed().filter(|(index, _)| *index >= first_partition);
        let partitions: Vec<_> = rest.take(left).map(|(index, partition)| described(image, index, partition)).collect();
        left -= partitions.len();
        let next = first_partition + partitions.len() as i32;
        response.topics.push(found(topic, partitions));
        if (next as usize) < topic.partitions.len() {
            response.next_cursor = Some(Cursor { topic_name: name.as_str().into(), partition_index: next });
            break;
        }
        first_partition = 0;
    }
    response
}

fn found(
    topic: &Topic,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::NONE,
        name: Some(topic.name.as_str().into()),
        topic_id: topic.id.0,
        is_internal: is_internal(topic.name.as_str()),
        partitions,
        topic_authorized_operations: ALL_TOPIC_OPERATIONS,
    }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error_code = match TopicName::new(name) {
        Ok(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Err(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code,
        name: Some(name.into()),
        topic_authorized_operations: ALL_TOPIC_OPERATIONS,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn described(image: &Image, index: i32, partition: &Partition) -> DescribeTopicPartitionsResponsePartition {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect::<Vec<_>>();
    let is_led = partition.leader != BrokerId::NONE;
    DescribeTopicPartitionsResponsePartition {
        error_code: if is_led { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE },
        partition_index: index,
        leader_id: partition.leader.0,
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: partition.brokers().map(|broker| broker.0).collect(),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(&partition.elr)),
        last_known_elr: Some(ids(&partition.last_known_elr)),
        offline_replicas: offline_replicas(image, partition),
    }
}
