//! FindCoordinator (KIP-699 for several keys): which broker coordinates a group, a transactional id or the state of a share
//! partition (KIP-932).

use ottla_core::controller::internal_topics::{CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE};
use ottla_core::metadata::{Image, Topic};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

use super::Context;
use crate::coordinator::{partition_of, with_topic};
use crate::share::is_coordinator_key;

/// `key_type` of groups.
const GROUP: i8 = 0;
/// `key_type` of transactions.
const TRANSACTION: i8 = 1;
/// `key_type` of share partitions, since version 6.
const SHARE: i8 = 2;

/// Tells where the coordinators are.
pub(super) async fn handle(context: Context, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if context.version < 4 {
        let found = find(&context, request.key_type, &[request.key]).await.into_iter().next().unwrap_or_default();
        return FindCoordinatorResponse {
            error_message: Some(found.error_message.unwrap_or_else(|| "NONE".into())),
            error_code: found.error_code,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..FindCoordinatorResponse::default()
        };
    }
    let coordinators = find(&context, request.key_type, &request.coordinator_keys).await;
    FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
}

async fn find(context: &Context, key_type: i8, keys: &[Str]) -> Vec<Coordinator> {
    let refuse_all = |code, message: &'static str| keys.iter().map(|key| refused(key, code, message)).collect();
    let topic = match key_type {
        GROUP => CONSUMER_OFFSETS,
        TRANSACTION => TRANSACTION_STATE,
        SHARE if context.version >= 6 && keys.iter().all(|key| is_coordinator_key(key)) => SHARE_GROUP_STATE,
        _ => return refuse_all(ErrorCode::INVALID_REQUEST, "The key type is unknown, or its keys are malformed."),
    };
    if keys.is_empty() {
        return Vec::new();
    }
    let image = with_topic(&context.broker, topic).await;
    match image.topic(topic) {
        Some(topic) => keys.iter().map(|key| coordinator(context, &image, topic, key)).collect(),
        None => refuse_all(ErrorCode::COORDINATOR_NOT_AVAILABLE, NOT_AVAILABLE),
    }
}

const NOT_AVAILABLE: &str = "The coordinator is not available.";

fn coordinator(context: &Context, image: &Image, topic: &Topic, key: &Str) -> Coordinator {
    let partition = partition_of(key, topic.partitions.len() as i32);
    let leader = topic.partition(partition).map(|state| state.leader);
    let found = leader.and_then(|leader| Some((leader, image.address(leader, &context.peer.listener)?)));
    let Some((id, address)) = found else {
        return refused(key, ErrorCode::COORDINATOR_NOT_AVAILABLE, NOT_AVAILABLE);
    };
    Coordinator {
        key: key.clone(),
        node_id: id.0,
        host: address.host.into(),
        port: i32::from(address.port),
        error_message: if context.version < 4 { None } else { Some(Str::default()) },
        ..Coordinator::default()
    }
}

fn refused(key: &Str, error_code: ErrorCode, message: &'static str) -> Coordinator {
    let error_message = Some(Str::from_static(message));
    Coordinator { key: key.clone(), node_id: -1, port: -1, error_code, error_message, ..Coordinator::default() }
}
