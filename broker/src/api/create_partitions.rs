//! CreatePartitions: grows topics (KIP-195).

use ottla_core::BrokerId;
use ottla_core::controller::{CreatePartitions, MorePartitions};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::create_partitions::CreatePartitionsTopicResult;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::{Context, error, mutations};

/// From this version on what is beyond a quota is refused (KIP-599).
const STRICT_SINCE: i16 = 3;

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
    match mutations::submit(&context, command, patience, STRICT_SINCE).await {
        Ok(decided) => {
            let refusals = decided.response.iter().filter_map(|(_, result)| result.as_ref().err());
            let throttle_time_ms = decided.throttle(&context, refusals);
            let results = decided.response.into_iter().map(|(name, result)| answer(name, result)).collect();
            CreatePartitionsResponse { throttle_time_ms, results }
        }
        Err(refusal) => {
            let (error_code, error_message) = (error::of_submit(&refusal), Some(Str::from(refusal.to_string())));
            let refused = |name| CreatePartitionsTopicResult { name, error_code, error_message: error_message.clone() };
            let results = names.into_iter().map(refused).collect();
            CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
        }
    }
}

fn answer(name: String, result: Result<(), ottla_core::controller::Error>) -> CreatePartitionsTopicResult {
    let refusal = result.err();
    CreatePartitionsTopicResult {
        name: name.into(),
        error_code: refusal.as_ref().map_or(ErrorCode::NONE, error::of_controller),
        error_message: refusal.and_then(|refusal| refusal.message()).map(Str::from),
    }
}
