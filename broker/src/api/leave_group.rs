//! LeaveGroup, of several members since version 3 (KIP-345).

use ottla_core::group::{self, Leave, LeftMember, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

use super::Context;
use super::error::of_group;
use super::groups::{code, coordinate, text, unexpected};

/// Removes members.
pub(super) async fn handle(context: Context, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let members = if context.version < 3 {
        vec![group::MemberIdentity { member_id: request.member_id.to_string(), instance_id: None }]
    } else {
        let identity = |member: ottla_protocol::messages::leave_group::MemberIdentity| group::MemberIdentity {
            member_id: member.member_id.to_string(),
            instance_id: text(member.group_instance_id),
        };
        request.members.into_iter().map(identity).collect()
    };
    let leave = Leave { group: request.group_id.to_string(), members };
    match coordinate(&context, &request.group_id, Request::Leave(leave)).await {
        Ok(Response::Leave(Ok(members))) => left(context.version, members),
        Ok(Response::Leave(Err(error))) => refused(of_group(error)),
        Ok(other) => refused(unexpected(&other)),
        Err(code) => refused(code),
    }
}

fn left(version: i16, members: Vec<LeftMember>) -> LeaveGroupResponse {
    if version < 3 {
        // The one member's answer is that of the request.
        return refused(members.into_iter().next().map_or(ErrorCode::NONE, |member| code(member.result)));
    }
    let member = |left: LeftMember| MemberResponse {
        member_id: left.member.member_id.into(),
        group_instance_id: left.member.instance_id.map(Str::from),
        error_code: code(left.result),
    };
    LeaveGroupResponse { members: members.into_iter().map(member).collect(), ..LeaveGroupResponse::default() }
}

fn refused(error_code: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() }
}
