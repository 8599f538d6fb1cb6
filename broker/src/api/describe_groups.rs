//! DescribeGroups: classic groups and their members.

use ottla_core::group::{self, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::Context;
use super::error::of_group;
use super::groups::{OPERATIONS, coordinate, unexpected};

/// Describes each group asked for.
pub(super) async fn handle(context: Context, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for name in request.groups {
        let result = match coordinate(&context, &name, Request::Describe(name.to_string())).await {
            Ok(Response::Describe(result)) => result.map_err(|refusal| (of_group(refusal.error), refusal.message)),
            Ok(other) => Err((unexpected(&other), String::new())),
            Err(code) => Err((code, String::new())),
        };
        let mut answer = match result {
            Ok(found) => described(name, found),
            Err((code, message)) => refused(context.version, name, code, message),
        };
        if request.include_authorized_operations && answer.error_code == ErrorCode::NONE {
            answer.authorized_operations = OPERATIONS;
        }
        groups.push(answer);
    }
    DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
}

fn described(name: Str, found: group::Described) -> DescribedGroup {
    let member = |member: group::DescribedMember| DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(Str::from),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    };
    DescribedGroup {
        group_id: name,
        group_state: found.state.name().into(),
        protocol_type: found.protocol_type.into(),
        protocol_data: found.protocol.into(),
        members: found.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn refused(version: i16, name: Str, code: ErrorCode, message: String) -> DescribedGroup {
    if code != ErrorCode::GROUP_ID_NOT_FOUND {
        return DescribedGroup { group_id: name, error_code: code, ..DescribedGroup::default() };
    }
    // Before version 6 a group that is not there, or of the other kind, is a dead one (KIP-1043).
    let is_told = version >= 6;
    DescribedGroup {
        error_code: if is_told { code } else { ErrorCode::NONE },
        error_message: is_told.then(|| message.into()),
        group_id: name,
        group_state: "Dead".into(),
        ..DescribedGroup::default()
    }
}
