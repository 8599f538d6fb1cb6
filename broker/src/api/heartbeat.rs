//! Heartbeat of a member of a classic group.

use ottla_core::group::{Heartbeat, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::Context;
use super::groups::{code, coordinate, text, unexpected};

/// Keeps a session alive, and tells of a rebalance.
pub(super) async fn handle(context: Context, request: HeartbeatRequest) -> HeartbeatResponse {
    let heartbeat = Heartbeat {
        group: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: text(request.group_instance_id),
    };
    let error_code = match coordinate(&context, &request.group_id, Request::Heartbeat(heartbeat)).await {
        Ok(Response::Heartbeat(result)) => code(result),
        Ok(other) => unexpected(&other),
        // Sessions begin anew after the load: the member need not be told.
        Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) => ErrorCode::NONE,
        Err(code) => code,
    };
    HeartbeatResponse { error_code, ..HeartbeatResponse::default() }
}
