//! AlterShareGroupOffsets (KIP-932): where an empty share group begins.

use ottla_core::Offset;
use ottla_core::group::{AlterShareOffsets, AlteredShareOffsets, AlteredShareTopic, Refusal, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::alter_share_group_offsets::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, ResponsePartition, ResponseTopic,
};

use super::Context;
use super::error::of_group;
use super::groups::{Refused, code, coordinate, serves_share_groups, unexpected};

/// Sets start offsets; answers when the share coordinators have them.
pub(super) async fn handle(context: Context, request: AlterShareGroupOffsetsRequest) -> AlterShareGroupOffsetsResponse {
    match alter(&context, request).await {
        Ok(altered) => AlterShareGroupOffsetsResponse {
            responses: altered.into_iter().map(topic).collect(),
            ..AlterShareGroupOffsetsResponse::default()
        },
        Err((error_code, message)) => AlterShareGroupOffsetsResponse {
            error_code,
            error_message: message.map(Str::from),
            ..AlterShareGroupOffsetsResponse::default()
        },
    }
}

async fn alter(context: &Context, request: AlterShareGroupOffsetsRequest) -> Result<AlteredShareOffsets, Refused> {
    if !serves_share_groups(context) {
        return Err((ErrorCode::UNSUPPORTED_VERSION, None));
    }
    let group = request.group_id.to_string();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| (p.partition_index, Offset(p.start_offset)));
        (topic.topic_name.to_string(), partitions.collect())
    });
    let alter = AlterShareOffsets { group: group.clone(), topics: topics.collect() };
    match coordinate(context, &group, Request::AlterShareOffsets(alter)).await {
        Ok(Response::AlterShareOffsets(Ok(altered))) => Ok(altered),
        Ok(Response::AlterShareOffsets(Err(Refusal { error, message }))) => Err((of_group(error), Some(message))),
        Ok(other) => Err((unexpected(&other), None)),
        Err(code) => Err((code, None)),
    }
}

fn topic((name, id, partitions): AlteredShareTopic) -> ResponseTopic {
    let partitions = partitions.into_iter().map(|(partition_index, result)| ResponsePartition {
        partition_index,
        error_code: code(result),
        error_message: result.err().map(|error| error.to_string().into()),
    });
    let topic_id = id.map(|id| id.0).unwrap_or_default();
    ResponseTopic { topic_name: name.into(), topic_id, partitions: partitions.collect() }
}
