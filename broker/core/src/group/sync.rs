//! SyncGroup, which hands out the leader's assignment once it is durable, and Heartbeat.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::context::{Context, Then, complete_sync};
use super::coordinator::Coordinator;
use super::event::Response;
use super::request::{GroupState, Heartbeat, Sync, Synced};
use super::state::Group;
use super::timers::Timer;
use super::{Error, consumer, rebalance};
use crate::coordinator::RequestId;

/// Handles SyncGroup: parked until the leader's assignment is durable.
pub(super) fn sync(coordinator: &mut Coordinator, request: RequestId, sync: Sync) {
    if coordinator.consumers.contains_key(sync.group.as_str()) {
        return consumer::classic::sync(coordinator, request, &sync);
    }
    let Coordinator { groups, context, .. } = coordinator;
    let group = match validate(groups.get_mut(sync.group.as_str()), &sync) {
        Ok(group) => group,
        Err(error) => return context.reply(request, Response::Sync(Err(error))),
    };
    group.pending_sync.remove(sync.member_id.as_str());
    if group.pending_sync.is_empty() {
        context.timers.cancel(&Timer::Sync(group.id.clone()));
    }
    if group.is(GroupState::Stable) {
        let synced = Synced {
            protocol_type: group.protocol_type.clone(),
            protocol: group.protocol.clone(),
            assignment: group.member(&sync.member_id).map(|m| m.assignment.clone()).unwrap_or_default(),
        };
        return context.reply(request, Response::Sync(Ok(synced)));
    }
    // A sync that is parked already is one that its client has given up.
    complete_sync(group, context, &sync.member_id, Err(Error::RebalanceInProgress));
    if let Some(member) = group.member_mut(&sync.member_id) {
        member.sync = Some(request);
    }
    if group.is_leader(&sync.member_id) && !group.assignment_in_flight {
        store_assignment(group, context, sync.assignments);
    }
}

fn validate<'a>(group: Option<&'a mut Group>, sync: &Sync) -> Result<&'a mut Group, Error> {
    if sync.group.is_empty() {
        return Err(Error::InvalidGroupId);
    }
    let group = group.ok_or(Error::UnknownMemberId)?;
    group.validate_member(&sync.member_id, sync.instance_id.as_deref())?;
    if sync.generation != group.generation {
        return Err(Error::IllegalGeneration);
    }
    let differs = |asked: &Option<String>, own: &Option<String>| asked.is_some() && own.is_some() && asked != own;
    if differs(&sync.protocol_type, &group.protocol_type) || differs(&sync.protocol, &group.protocol) {
        return Err(Error::InconsistentGroupProtocol);
    }
    if group.is(GroupState::PreparingRebalance) { Err(Error::RebalanceInProgress) } else { Ok(group) }
}

/// Sends the generation with its assignment to the log. Only the first assignment of a generation counts, so that
/// a coordinator that takes over can never hand out another one.
fn store_assignment(group: &mut Group, context: &mut Context, assignments: Vec<(String, Bytes)>) {
    let mut assignments: HashMap<Arc<str>, Bytes> =
        assignments.into_iter().map(|(member, assignment)| (member.into(), assignment)).collect();
    assignments.retain(|member, _| group.member(member).is_some());
    let record = group.to_record(|member| assignments.get(&member.id).cloned().unwrap_or_default());
    group.assignment_in_flight = true;
    let then = Then::Assign { generation: group.generation, assignments };
    context.append(&group.id, vec![record], then);
}

/// The assignment of `generation` is durable, or could not be stored.
pub(super) fn assignment_stored(
    group: &mut Group,
    context: &mut Context,
    generation: i32,
    result: Result<HashMap<Arc<str>, Bytes>, Error>,
) {
    if !group.is(GroupState::CompletingRebalance) || group.generation != generation {
        return;
    }
    match result {
        Ok(mut assignments) => {
            for member in group.members_mut() {
                member.assignment = assignments.remove(&member.id).unwrap_or_default();
            }
            group.transition(GroupState::Stable, context.now.wall);
            let members: Vec<_> = group.members().map(|member| member.id.clone()).collect();
            for member in members {
                complete_sync(group, context, &member, Ok(()));
            }
        }
        Err(error) => {
            group.assignment_in_flight = false;
            rebalance::refuse_syncs(group, context, error);
            if error != Error::NotCoordinator {
                rebalance::prepare(group, context);
            }
        }
    }
}

/// Handles Heartbeat.
pub(super) fn heartbeat(coordinator: &mut Coordinator, heartbeat: &Heartbeat) -> Result<(), Error> {
    if heartbeat.group.is_empty() {
        return Err(Error::InvalidGroupId);
    }
    if coordinator.consumers.contains_key(heartbeat.group.as_str()) {
        return consumer::classic::heartbeat(coordinator, heartbeat);
    }
    let Coordinator { groups, context, .. } = coordinator;
    let group = groups.get(heartbeat.group.as_str()).ok_or(Error::UnknownMemberId)?;
    group.validate_member(&heartbeat.member_id, heartbeat.instance_id.as_deref())?;
    if heartbeat.generation != group.generation {
        return Err(Error::IllegalGeneration);
    }
    let member = group.member(&heartbeat.member_id).ok_or(Error::UnknownMemberId)?;
    context.schedule_session(&group.id, &member.id, member.session_timeout);
    if group.is(GroupState::PreparingRebalance) { Err(Error::RebalanceInProgress) } else { Ok(()) }
}
