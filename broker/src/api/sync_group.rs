//! SyncGroup: the leader brings the assignment, every member fetches its part.

use bytes::Bytes;
use ottla_core::group::{Request, Response, Sync};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::Context;
use super::error::of_group;
use super::groups::{coordinate, text, unexpected};

/// Answers with the member's assignment once it is durable.
pub(super) async fn handle(context: Context, request: SyncGroupRequest) -> SyncGroupResponse {
    if context.version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return refused(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    }
    let group = request.group_id.to_string();
    let sync = Sync {
        group: group.clone(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: text(request.group_instance_id),
        protocol_type: text(request.protocol_type),
        protocol: text(request.protocol_name),
        // What is kept must not hold on to the whole frame it came in.
        assignments: request
            .assignments
            .iter()
            .map(|entry| (entry.member_id.to_string(), Bytes::copy_from_slice(&entry.assignment)))
            .collect(),
    };
    match coordinate(&context, &group, Request::Sync(sync)).await {
        Ok(Response::Sync(Ok(synced))) => SyncGroupResponse {
            protocol_type: synced.protocol_type.map(Str::from),
            protocol_name: synced.protocol.map(Str::from),
            assignment: synced.assignment,
            ..SyncGroupResponse::default()
        },
        Ok(Response::Sync(Err(error))) => refused(of_group(error)),
        Ok(other) => refused(unexpected(&other)),
        Err(code) => refused(code),
    }
}

fn refused(error_code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code, ..SyncGroupResponse::default() }
}
