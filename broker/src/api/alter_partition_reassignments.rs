//! AlterPartitionReassignments: the controller begins, replaces and cancels moves (KIP-455, KIP-860).

use ottla_core::BrokerId;
use ottla_core::controller::{self, Reassignment};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::alter_partition_reassignments::{
    ReassignablePartitionResponse, ReassignableTopic, ReassignableTopicResponse,
};
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

use super::{Context, error};

/// Answers once what has begun is known here.
pub async fn handle(
    context: Context,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let allow_replication_factor_change = request.allow_replication_factor_change;
    let answer = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change,
        error_message: None,
        ..AlterPartitionReassignmentsResponse::default()
    };
    let reassignments = request.topics.iter().flat_map(reassignments).collect();
    let command = controller::AlterPartitionReassignments { reassignments, allow_replication_factor_change };
    match context.broker.controller.submit(command).await {
        Ok(results) => {
            let mut results = results.into_iter();
            let topic = |topic: ReassignableTopic| ReassignableTopicResponse {
                partitions: topic
                    .partitions
                    .iter()
                    .zip(&mut results)
                    .map(|(one, it)| of(one.partition_index, it))
                    .collect(),
                name: topic.name,
            };
            AlterPartitionReassignmentsResponse { responses: request.topics.into_iter().map(topic).collect(), ..answer }
        }
        Err(refusal) => AlterPartitionReassignmentsResponse {
            error_code: error::of_submit(&refusal),
            error_message: Some(refusal.to_string().into()),
            ..answer
        },
    }
}

fn reassignments(topic: &ReassignableTopic) -> impl Iterator<Item = Reassignment> {
    topic.partitions.iter().map(|partition| Reassignment {
        topic: topic.name.to_string(),
        partition: partition.partition_index,
        target: partition.replicas.as_ref().map(|ids| ids.iter().copied().map(BrokerId).collect()),
    })
}

fn of(partition_index: i32, result: Result<(), controller::Error>) -> ReassignablePartitionResponse {
    let refusal = result.err();
    ReassignablePartitionResponse {
        partition_index,
        error_code: refusal.as_ref().map_or(ErrorCode::NONE, error::of_controller),
        error_message: refusal.and_then(|refusal| refusal.message()).map(Str::from),
    }
}
