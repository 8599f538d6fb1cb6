//! ShareGroupHeartbeat (KIP-932): joins, keeps alive and leaves.

use ottla_core::group::{JOIN, Refusal, Request, Response, ShareBeat, ShareHeartbeat};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::share_group_heartbeat::{
    Assignment, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, TopicPartitions,
};

use super::Context;
use super::error::of_group;
use super::groups::{coordinate, serves_share_groups, text, unexpected};

/// Answers when what the heartbeat changed is durable.
pub(super) async fn handle(context: Context, request: ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
    if !serves_share_groups(&context) {
        return refused(ErrorCode::UNSUPPORTED_VERSION, None);
    }
    let group = request.group_id.to_string();
    match coordinate(&context, &group, Request::ShareHeartbeat(heartbeat(&context, request))).await {
        Ok(Response::ShareHeartbeat(Ok(beat))) => answer(beat),
        Ok(Response::ShareHeartbeat(Err(Refusal { error, message }))) => refused(of_group(error), Some(message)),
        Ok(other) => refused(unexpected(&other), None),
        Err(code) => refused(code, None),
    }
}

fn heartbeat(context: &Context, request: ShareGroupHeartbeatRequest) -> ShareHeartbeat {
    ShareHeartbeat {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        rack_id: text(request.rack_id),
        topics: request.subscribed_topic_names.map(|names| names.iter().map(ToString::to_string).collect()),
        client_id: text(context.client_id.clone()).unwrap_or_default(),
        client_host: format!("/{}", context.peer.address.ip()),
    }
}

fn answer(beat: ShareBeat) -> ShareGroupHeartbeatResponse {
    let assignment = beat.assignment.map(|partitions| {
        let topics = partitions.topics().map(|(topic, partitions)| TopicPartitions {
            topic_id: topic.0,
            partitions: partitions.iter().copied().collect(),
        });
        Assignment { topic_partitions: topics.collect() }
    });
    ShareGroupHeartbeatResponse {
        member_id: Some(beat.member_id.into()),
        member_epoch: beat.member_epoch,
        heartbeat_interval_ms: i32::try_from(beat.heartbeat_interval.as_millis()).unwrap_or(i32::MAX),
        assignment,
        ..ShareGroupHeartbeatResponse::default()
    }
}

fn refused(error_code: ErrorCode, message: Option<String>) -> ShareGroupHeartbeatResponse {
    let (error_message, member_epoch) = (message.map(Str::from), JOIN);
    ShareGroupHeartbeatResponse { error_code, error_message, member_epoch, ..ShareGroupHeartbeatResponse::default() }
}
