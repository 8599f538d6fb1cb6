//! CreatePartitions: grows topics (KIP-195).

use ottla_core::BrokerId;
use ottla_core::controller::{CreatePartitions, MorePartitions};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::create_partitions::CreatePartitionsTopicResult;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::{Context, error};

/// Answers once the new partitions are usable here.
pub async fn handle(context: Context, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let brokers = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect();
    let topics = request
        .topics
        .into_iter()
        .map(|topic| MorePartitions {
            topic: topic.name.to_string(),
            count: topic.count,
            assignments: topic.assignments.map(|all| all.into_iter().map(|one| brokers(one.broker_ids)).collect()),
        })
        .collect();
    let command = CreatePartitions { topics, validate_only: request.validate_only };
    let patience = super::patience(request.timeout_ms);
    let results = match context.broker.controller.submit_within(command, patience).await {
        Ok(results) => results
            .into_iter()
            .map(|(name, result)| {
                let refusal = result.err();
                CreatePartitionsTopicResult {
                    name: name.into(),
                    error_code: refusal.as_ref().map_or(ErrorCode::NONE, error::of_controller),
                    error_message: refusal.and_then(|refusal| refusal.message()).map(Str::from),
                }
            })
            .collect(),
        Err(refusal) => names
            .into_iter()
            .map(|name| CreatePartitionsTopicResult {
                name,
                error_code: error::of_submit(&refusal),
                error_message: Some(refusal.to_string().into()),
            })
            .collect(),
    };
    CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
}
