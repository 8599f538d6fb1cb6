//! JoinGroup (KIP-345, KIP-394, KIP-559, KIP-800, KIP-814).

use bytes::Bytes;
use ottla_core::group::{Join, Joined, JoinedGeneration, Protocol, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use uuid::Uuid;

use super::Context;
use super::error::of_group;
use super::groups::{coordinate, milliseconds, text, unexpected};

/// Joins a group; answered when the generation begins.
pub(super) async fn handle(context: Context, request: JoinGroupRequest) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let group = request.group_id.to_string();
    match coordinate(&context, &group, Request::Join(join(&context, request))).await {
        Ok(Response::Join(Joined { member_id, result: Ok(generation) })) => joined(member_id, generation),
        Ok(Response::Join(Joined { member_id, result: Err(error) })) => {
            refused(context.version, member_id.into(), of_group(error))
        }
        Ok(other) => refused(context.version, member_id, unexpected(&other)),
        Err(code) => refused(context.version, member_id, code),
    }
}

fn join(context: &Context, request: JoinGroupRequest) -> Join {
    let session_timeout = milliseconds(request.session_timeout_ms);
    // What is kept must not hold on to the whole frame it came in.
    let owned = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    Join {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: text(request.group_instance_id),
        client_id: text(context.client_id.clone()).unwrap_or_default(),
        client_host: format!("/{}", context.peer.address.ip()),
        session_timeout,
        rebalance_timeout: match request.rebalance_timeout_ms {
            ..0 => session_timeout,
            timeout => milliseconds(timeout),
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| Protocol { name: protocol.name.to_string(), metadata: owned(&protocol.metadata) })
            .collect(),
        fresh_id: Uuid::new_v4(),
        requires_known_member_id: context.version >= 4,
        supports_skipping_assignment: context.version >= 9,
    }
}

fn joined(member_id: String, generation: JoinedGeneration) -> JoinGroupResponse {
    let member = |member: ottla_core::group::JoinedMember| JoinGroupResponseMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(Str::from),
        metadata: member.metadata,
    };
    JoinGroupResponse {
        generation_id: generation.generation,
        protocol_type: generation.protocol_type.map(Str::from),
        protocol_name: Some(generation.protocol.unwrap_or_default().into()),
        leader: generation.leader.into(),
        skip_assignment: generation.skip_assignment,
        member_id: member_id.into(),
        members: generation.members.into_iter().map(member).collect(),
        ..JoinGroupResponse::default()
    }
}

fn refused(version: i16, member_id: Str, error_code: ErrorCode) -> JoinGroupResponse {
    // Before version 7 there is no null.
    let protocol_name = (version < 7).then(Str::default);
    JoinGroupResponse { error_code, member_id, protocol_name, ..JoinGroupResponse::default() }
}
