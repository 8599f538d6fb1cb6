//! DeleteShareGroupOffsets (KIP-932): what an empty share group has of topics.

use ottla_core::group::{DeleteShareOffsets, DeletedShareOffsets, Refusal, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::delete_share_group_offsets::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, ResponseTopic,
};

use super::Context;
use super::error::of_group;
use super::groups::{Refused, coordinate, serves_share_groups, unexpected};

/// Deletes offsets; answers when the share coordinators have none of them any more.
pub(super) async fn handle(
    context: Context,
    request: DeleteShareGroupOffsetsRequest,
) -> DeleteShareGroupOffsetsResponse {
    match delete(&context, request).await {
        Ok(deleted) => {
            let responses = deleted.into_iter().map(|(name, id, result)| {
                let (error_code, error_message) = match result {
                    Ok(()) => (ErrorCode::NONE, None),
                    Err(Refusal { error, message }) => (of_group(error), Some(message.into())),
                };
                let topic_id = id.map(|id| id.0).unwrap_or_default();
                ResponseTopic { topic_name: name.into(), topic_id, error_code, error_message }
            });
            let responses = responses.collect();
            DeleteShareGroupOffsetsResponse { responses, ..DeleteShareGroupOffsetsResponse::default() }
        }
        Err((error_code, message)) => DeleteShareGroupOffsetsResponse {
            error_code,
            error_message: message.map(Str::from),
            ..DeleteShareGroupOffsetsResponse::default()
        },
    }
}

async fn delete(context: &Context, request: DeleteShareGroupOffsetsRequest) -> Result<DeletedShareOffsets, Refused> {
    if !serves_share_groups(context) {
        return Err((ErrorCode::UNSUPPORTED_VERSION, None));
    }
    let group = request.group_id.to_string();
    if group.is_empty() {
        return Err((ErrorCode::INVALID_GROUP_ID, None));
    }
    let topics = request.topics.iter().map(|topic| topic.topic_name.to_string()).collect();
    let delete = DeleteShareOffsets { group: group.clone(), topics };
    match coordinate(context, &group, Request::DeleteShareOffsets(delete)).await {
        Ok(Response::DeleteShareOffsets(Ok(deleted))) => Ok(deleted),
        Ok(Response::DeleteShareOffsets(Err(Refusal { error, message }))) => Err((of_group(error), Some(message))),
        Ok(other) => Err((unexpected(&other), None)),
        Err(code) => Err((code, None)),
    }
}
