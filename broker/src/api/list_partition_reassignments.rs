//! ListPartitionReassignments: the moves under way, as this broker's image has them (KIP-455).

use ottla_core::BrokerId;
use ottla_core::metadata::{Partition, Topic};
use ottla_protocol::messages::list_partition_reassignments::{OngoingPartitionReassignment, OngoingTopicReassignment};
use ottla_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use super::Context;

/// Answers for every move, or for the partitions that are named; what does not move, or does not exist, is left out.
pub async fn handle(
    context: Context,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = context.broker.image();
    let topics = match request.topics {
        None => image.topics().iter().filter_map(|topic| moves(topic, |_| true)).collect(),
        Some(wanted) => wanted
            .iter()
            .filter_map(|wanted| moves(image.topic(&wanted.name)?, |index| wanted.partition_indexes.contains(&index)))
            .collect(),
    };
    ListPartitionReassignmentsResponse { topics, error_message: None, ..ListPartitionReassignmentsResponse::default() }
}

fn moves(topic: &Topic, is_wanted: impl Fn(i32) -> bool) -> Option<OngoingTopicReassignment> {
    let moving = topic.indexed().filter(|(index, state)| state.is_moving() && is_wanted(*index));
    let partitions: Vec<_> = moving.map(|(index, state)| describe(index, state)).collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment { name: topic.name.as_str().into(), partitions })
}

fn describe(partition_index: i32, state: &Partition) -> OngoingPartitionReassignment {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    OngoingPartitionReassignment {
        partition_index,
        replicas: state.brokers().map(|broker| broker.0).collect(),
        adding_replicas: ids(&state.adding),
        removing_replicas: ids(&state.removing),
    }
}
