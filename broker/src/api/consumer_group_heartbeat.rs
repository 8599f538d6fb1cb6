//! ConsumerGroupHeartbeat (KIP-848): joins, keeps alive, reconciles and leaves.

use ottla_core::TopicId;
use ottla_core::group::{Beat, ConsumerHeartbeat, JOIN, Partitions, Refusal, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use uuid::Uuid;

use super::Context;
use super::error::of_group;
use super::groups::{coordinate, milliseconds, serves_consumer_protocol, text, unexpected};

/// Answers when what the heartbeat changed is durable.
pub(super) async fn handle(context: Context, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    if !serves_consumer_protocol(&context) {
        return refused(ErrorCode::UNSUPPORTED_VERSION, None);
    }
    let group = request.group_id.to_string();
    // Which coordinator it is does not matter where there can be no such group.
    match coordinate(&context, &group, Request::ConsumerHeartbeat(heartbeat(&context, request))).await {
        Ok(Response::ConsumerHeartbeat(Ok(beat))) => answer(beat),
        Ok(Response::ConsumerHeartbeat(Err(Refusal { error, message }))) => refused(of_group(error), Some(message)),
        Ok(other) => refused(unexpected(&other), None),
        Err(code) => refused(code, None),
    }
}

fn heartbeat(context: &Context, request: ConsumerGroupHeartbeatRequest) -> ConsumerHeartbeat {
    let owned = |topics: &[TopicPartitions]| -> Partitions {
        let topics = topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| (TopicId(topic.topic_id), *p)));
        topics.collect()
    };
    let rebalance_timeout = Some(request.rebalance_timeout_ms).filter(|timeout| *timeout != -1);
    ConsumerHeartbeat {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        instance_id: text(request.instance_id),
        rack_id: text(request.rack_id),
        rebalance_timeout: rebalance_timeout.map(milliseconds),
        topics: request.subscribed_topic_names.map(|names| names.iter().map(ToString::to_string).collect()),
        regex: text(request.subscribed_topic_regex),
        assignor: text(request.server_assignor),
        owned: request.topic_partitions.as_deref().map(owned),
        client_id: text(context.client_id.clone()).unwrap_or_default(),
        client_host: format!("/{}", context.peer.address.ip()),
        fresh_id: Uuid::new_v4(),
        makes_own_id: context.version >= 1,
    }
}

fn answer(beat: Beat) -> ConsumerGroupHeartbeatResponse {
    let topics = |partitions: Partitions| Assignment {
        topic_partitions: partitions
            .topics()
            .map(|(topic, partitions)| TopicPartitions {
                topic_id: topic.0,
                partitions: partitions.iter().copied().collect(),
            })
            .collect(),
    };
    ConsumerGroupHeartbeatResponse {
        member_id: Some(beat.member_id.into()),
        member_epoch: beat.member_epoch,
        heartbeat_interval_ms: i32::try_from(beat.heartbeat_interval.as_millis()).unwrap_or(i32::MAX),
        assignment: beat.assignment.map(topics),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn refused(error_code: ErrorCode, message: Option<String>) -> ConsumerGroupHeartbeatResponse {
    let (error_message, member_epoch) = (message.map(Str::from), JOIN);
    ConsumerGroupHeartbeatResponse {
        error_code,
        error_message,
        member_epoch,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}
