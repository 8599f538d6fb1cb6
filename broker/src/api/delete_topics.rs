//! DeleteTopics: by name, or by id from version 6 on (KIP-516).

use ottla_core::TopicId;
use ottla_core::controller::{DeleteTopics, DeletedTopic, Error, TopicRef};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::delete_topics::DeletableTopicResult;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::{Context, error, mutations};

/// From this version on what is beyond a quota is refused (KIP-599).
const STRICT_SINCE: i16 = 5;
const FORBIDDEN: &str = "delete.topic.enable is false on this broker";

/// Answers once the deletion is committed; the logs go in the background. Deletes nothing where `delete.topic.enable`
/// forbids it.
pub async fn handle(context: Context, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request.topic_names.iter().map(|name| TopicRef { name: Some(name.to_string()), id: TopicId::ZERO });
    let by_either = request
        .topics
        .iter()
        .map(|topic| TopicRef { name: topic.name.as_ref().map(Str::to_string), id: TopicId(topic.topic_id) });
    let topics: Vec<TopicRef> = by_name.chain(by_either).collect();
    if !context.allows("delete.topic.enable") {
        let code = if context.version < 3 { ErrorCode::INVALID_REQUEST } else { ErrorCode::TOPIC_DELETION_DISABLED };
        let refuse = |topic| failed(topic, code, Some(FORBIDDEN.into()));
        let responses = topics.into_iter().map(refuse).collect();
        return DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() };
    }
    let patience = super::patience(request.timeout_ms);
    let command = DeleteTopics { topics: topics.clone() };
    match mutations::submit(&context, command, patience, STRICT_SINCE).await {
        Ok(decided) => {
            let refusals = decided.response.iter().filter_map(|(_, result)| result.as_ref().err());
            let throttle_time_ms = decided.throttle(&context, refusals);
            let responses = decided.response.into_iter().map(|(topic, result)| answer(topic, result)).collect();
            DeleteTopicsResponse { throttle_time_ms, responses }
        }
        Err(refusal) => {
            let code = error::of_submit(&refusal);
            let refused = |topic| failed(topic, code, Some(refusal.to_string().into()));
            let responses = topics.into_iter().map(refused).collect();
            DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
        }
    }
}

fn answer(topic: TopicRef, result: Result<DeletedTopic, Error>) -> DeletableTopicResult {
    match result {
        Ok(deleted) => DeletableTopicResult {
            name: Some(deleted.name.as_str().into()),
            topic_id: deleted.id.0,
            error_code: ErrorCode::NONE,
            error_message: None,
        },
        Err(refusal) => failed(topic, error::of_controller(&refusal), refusal.message().map(Str::from)),
    }
}

fn failed(topic: TopicRef, error_code: ErrorCode, error_message: Option<Str>) -> DeletableTopicResult {
    DeletableTopicResult { name: topic.name.map(Str::from), topic_id: topic.id.0, error_code, error_message }
}
