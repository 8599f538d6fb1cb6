//! ElectLeaders: preferred or unclean elections, by the controller (KIP-183, KIP-460).

use ottla_core::controller::{self, ElectLeaders, ElectionKind};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::elect_leaders::{PartitionResult, ReplicaElectionResult};
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::{Context, error};

/// Answers once the elections are known here.
pub(super) async fn handle(context: Context, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let kind = match request.election_type {
        0 => ElectionKind::Preferred,
        1 => ElectionKind::Unclean,
        _ => return ElectLeadersResponse { error_code: ErrorCode::INVALID_REQUEST, ..ElectLeadersResponse::default() },
    };
    let asked = request.topic_partitions.clone();
    let partitions = request
        .topic_partitions
        .map(|topics| topics.into_iter().map(|topic| (topic.topic.to_string(), topic.partitions)).collect::<Vec<_>>());
    let command = ElectLeaders { kind, partitions };
    match context.broker.controller.submit_within(command, super::patience(request.timeout_ms)).await {
        Ok(results) => {
            let replica_election_results = results.into_iter().map(answer).collect();
            ElectLeadersResponse { replica_election_results, ..ElectLeadersResponse::default() }
        }
        Err(refusal) => {
            let code = error::of_submit(&refusal);
            let failed = |partition_id| PartitionResult {
                partition_id,
                error_code: code,
                error_message: Some(refusal.to_string().into()),
            };
            let topics = asked.unwrap_or_default().into_iter().map(|topic| ReplicaElectionResult {
                topic: topic.topic,
                partition_result: topic.partitions.into_iter().map(failed).collect(),
            });
            ElectLeadersResponse {
                error_code: code,
                replica_election_results: topics.collect(),
                ..ElectLeadersResponse::default()
            }
        }
    }
}

type Elected = (i32, Result<(), controller::Error>);

fn answer((topic, results): (String, Vec<Elected>)) -> ReplicaElectionResult {
    let partition = |(partition_id, result): Elected| match result {
        Ok(()) => PartitionResult { partition_id, error_code: ErrorCode::NONE, error_message: None },
        Err(refusal) => PartitionResult {
            partition_id,
            error_code: error::of_controller(&refusal),
            error_message: refusal.message().map(Into::into),
        },
    };
    ReplicaElectionResult { topic: topic.into(), partition_result: results.into_iter().map(partition).collect() }
}
