//! LeaveGroup: members go by their id, or are removed by their instance id (KIP-345).

use super::context::Context;
use super::coordinator::Coordinator;
use super::event::Response;
use super::request::{Leave, LeftMember, MemberIdentity};
use super::state::Group;
use super::{Error, consumer, rebalance};
use crate::coordinator::RequestId;

/// Handles LeaveGroup.
pub(super) fn leave(coordinator: &mut Coordinator, request: RequestId, leave: Leave) {
    if coordinator.consumers.contains_key(leave.group.as_str()) {
        return consumer::classic::leave(coordinator, request, leave);
    }
    let Coordinator { groups, context, .. } = coordinator;
    if leave.group.is_empty() {
        return context.reply(request, Response::Leave(Err(Error::InvalidGroupId)));
    }
    let Some(group) = groups.get_mut(leave.group.as_str()) else {
        let unknown = |member| LeftMember { member, result: Err(Error::UnknownMemberId) };
        let members = leave.members.into_iter().map(unknown).collect();
        return context.reply(request, Response::Leave(Ok(members)));
    };
    let members_before = group.members().len();
    let mut left = Vec::with_capacity(leave.members.len());
    for member in leave.members {
        let result = remove(group, context, &member);
        left.push(LeftMember { member, result });
    }
    context.reply(request, Response::Leave(Ok(left)));
    if group.members().len() < members_before {
        rebalance::member_gone(group, context);
    } else {
        // One that had only been given an id may have been the last to wait for.
        rebalance::complete_if_all_joined(group, context);
    }
}

fn remove(group: &mut Group, context: &mut Context, member: &MemberIdentity) -> Result<(), Error> {
    if member.member_id.is_empty() {
        let instance_id = member.instance_id.as_deref().ok_or(Error::UnknownMemberId)?;
        let member_id = group.static_member(instance_id).ok_or(Error::UnknownMemberId)?.clone();
        rebalance::remove_member(group, context, &member_id);
        return Ok(());
    }
    if group.pending.remove(member.member_id.as_str()) {
        context.cancel_session(&group.id, &member.member_id.as_str().into());
        return Ok(());
    }
    group.validate_member(&member.member_id, member.instance_id.as_deref())?;
    rebalance::remove_member(group, context, &member.member_id);
    Ok(())
}
