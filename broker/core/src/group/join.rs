//! JoinGroup: who may join, and under which id (KIP-394, KIP-345).

use std::collections::HashSet;
use std::sync::Arc;

use super::context::{Context, Replacement, Then, complete_join, complete_sync};
use super::coordinator::Coordinator;
use super::member::Member;
use super::request::{GroupState, Join, Joined};
use super::state::Group;
use super::{Error, Response, admin, consumer, rebalance};
use crate::coordinator::MAX_STRING;
use crate::coordinator::RequestId;

/// How much of the client id goes into a member id.
const CLIENT_ID_PREFIX: usize = 200;

/// Handles JoinGroup: answered at once, or parked with the member until the generation begins.
pub(super) fn join(coordinator: &mut Coordinator, request: RequestId, mut join: Join) {
    let Coordinator { groups, consumers, shares, streams, context, .. } = coordinator;
    let refuse = |context: &mut Context, error| context.reply_join_error(request, &join.member_id, error);
    if join.group.is_empty() || join.group.len() > MAX_STRING {
        return refuse(context, Error::InvalidGroupId);
    }
    if !(context.config.min_session_timeout..=context.config.max_session_timeout).contains(&join.session_timeout) {
        return refuse(context, Error::InvalidSessionTimeout);
    }
    let is_streaming = streams.get(join.group.as_str()).is_some_and(|group| !group.is_empty());
    if is_streaming || shares.contains_key(join.group.as_str()) {
        return context.reply_join_error(request, "", Error::InconsistentGroupProtocol);
    }
    if has_text_too_long(&join) {
        return refuse(context, Error::InconsistentGroupProtocol);
    }
    let mut seen = HashSet::new();
    join.protocols.retain(|protocol| seen.insert(protocol.name.clone()));
    let is_new = join.member_id.is_empty();
    if let Some(group) = consumers.get(join.group.as_str()) {
        if !group.is_empty() {
            return consumer::classic::join(coordinator, request, join);
        }
        if is_new {
            // Nobody is in it, so it may be of any kind.
            let (id, records) = (Arc::clone(&group.id), admin::consumer_tombstones(group));
            consumers.remove(&id);
            context.append_and_answer(&id, records, []);
        }
    }
    if is_new && let Some(group) = streams.remove(join.group.as_str()) {
        context.append_and_answer(&group.id, admin::streams_tombstones(&group), []);
    }
    if is_new && !groups.contains_key(join.group.as_str()) {
        let id: Arc<str> = join.group.as_str().into();
        groups.insert(id.clone(), Group::new(id, context.now.wall));
    }
    let Some(group) = groups.get_mut(join.group.as_str()) else {
        return refuse(context, Error::UnknownMemberId);
    };
    if !accepts(group, context, &join.member_id) {
        rebalance::remove_member(group, context, &join.member_id);
        rebalance::complete_if_all_joined(group, context);
        return context.reply_join_error(request, "", Error::GroupMaxSizeReached);
    }
    if !group.supports(&join.protocol_type, &join.protocols) {
        return refuse(context, Error::InconsistentGroupProtocol);
    }
    if is_new { join_new(group, context, request, join) } else { rejoin(group, context, request, join) }
}

/// Texts that could not be stored.
fn has_text_too_long(join: &Join) -> bool {
    let too_long = |text: &str| text.len() > MAX_STRING;
    too_long(&join.protocol_type)
        || join.instance_id.as_deref().is_some_and(too_long)
        || join.protocols.iter().any(|protocol| too_long(&protocol.name))
}

/// Whether the group has room for the member.
fn accepts(group: &Group, context: &Context, member_id: &str) -> bool {
    let max = context.config.max_size;
    let member = group.member(member_id);
    match group.state() {
        GroupState::Empty => true,
        // Those that have joined count, not the members: a group over a lowered limit gets rid of its last joiners.
        GroupState::PreparingRebalance => member.is_some_and(|m| m.join.is_some()) || group.awaiting_join() < max,
        GroupState::CompletingRebalance | GroupState::Stable => member.is_some() || group.members().len() < max,
    }
}

fn join_new(group: &mut Group, context: &mut Context, request: RequestId, join: Join) {
    let prefix = join.instance_id.as_deref().unwrap_or(&join.client_id);
    let member_id: Arc<str> = format!("{}-{}", prefix_of(prefix), join.fresh_id).into();
    match join.instance_id.as_deref().and_then(|instance_id| group.static_member(instance_id)).cloned() {
        Some(old_id) => replace(group, context, request, join, &old_id, member_id),
        None if join.instance_id.is_none() && join.requires_known_member_id => {
            group.pending.insert(member_id.clone());
            context.schedule_session(&group.id, &member_id, join.session_timeout);
            context.reply_join_error(request, &member_id, Error::MemberIdRequired);
        }
        None => add(group, context, request, join, member_id),
    }
}

fn prefix_of(text: &str) -> &str {
    let mut end = text.len().min(CLIENT_ID_PREFIX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn add(group: &mut Group, context: &mut Context, request: RequestId, join: Join, member_id: Arc<str>) {
    if let Some(delay) = &mut group.initial_delay {
        delay.extended = true;
    }
    let protocol_type = join.protocol_type.clone();
    group.add(Member::joining(member_id.clone(), request, join), Some(&protocol_type));
    // The client may go away unnoticed while its join is parked; it has no id to send heartbeats under.
    context.schedule_session(&group.id, &member_id, context.config.new_member_join_timeout);
    rebalance::prepare_or_complete(group, context);
}

fn rejoin(group: &mut Group, context: &mut Context, request: RequestId, join: Join) {
    if group.pending.contains(join.member_id.as_str()) {
        // An id that was given out with MEMBER_ID_REQUIRED; those are never given to static members.
        if join.instance_id.is_some() {
            return context.reply_join_error(request, &join.member_id, Error::UnknownMemberId);
        }
        let member_id = join.member_id.as_str().into();
        return add(group, context, request, join, member_id);
    }
    if let Err(error) = group.validate_member(&join.member_id, join.instance_id.as_deref()) {
        return context.reply_join_error(request, &join.member_id, error);
    }
    let unchanged = group.member(&join.member_id).is_some_and(|member| member.protocols == join.protocols);
    let begins_rebalance = match group.state() {
        GroupState::PreparingRebalance | GroupState::Empty => true,
        // Unchanged: the answer to the first join was lost.
        GroupState::CompletingRebalance => !unchanged,
        // The leader rejoins when something beyond the members' metadata changed, such as the number of partitions.
        GroupState::Stable => group.is_leader(&join.member_id) || !unchanged,
    };
    if begins_rebalance {
        park(group, context, request, &join);
        rebalance::prepare_or_complete(group, context);
    } else {
        let generation = group.joined_generation(&join.member_id);
        let member_id = join.member_id;
        context.reply(request, Response::Join(Joined { member_id, result: Ok(generation) }));
    }
}

/// Parks the join of a member, in place of an older one that its client has given up.
fn park(group: &mut Group, context: &mut Context, request: RequestId, join: &Join) {
    complete_join(group, context, &join.member_id, Err(Error::RebalanceInProgress));
    group.update(&join.member_id, join.protocols.clone(), join.rebalance_timeout, join.session_timeout);
    if let Some(member) = group.member_mut(&join.member_id) {
        member.join = Some(request);
    }
}

/// A static member comes back without its id: it takes the place of its former self, which is fenced.
fn replace(
    group: &mut Group,
    context: &mut Context,
    request: RequestId,
    mut join: Join,
    old_id: &Arc<str>,
    new_id: Arc<str>,
) {
    complete_join(group, context, old_id, Err(Error::FencedInstanceId));
    complete_sync(group, context, old_id, Err(Error::FencedInstanceId));
    context.cancel_session(&group.id, old_id);
    let former_leader = group.leader.clone();
    group.replace(old_id, new_id.clone());
    join.member_id = new_id.to_string();
    park(group, context, request, &join);
    context.schedule_session(&group.id, &new_id, join.session_timeout);
    match group.state() {
        GroupState::Stable if group.select_protocol() == group.protocol => {
            // Same place, same assignment: no rebalance, but the new id must outlive this coordinator.
            let record = group.to_record(|member| member.assignment.clone());
            let skips_assignment = join.supports_skipping_assignment;
            let replacement = Replacement { member_id: new_id, former_leader, skips_assignment };
            context.append(&group.id, vec![record], Then::Replace(replacement));
        }
        GroupState::Stable => rebalance::prepare_or_complete(group, context),
        // The leader may be assigning to the old id just now.
        GroupState::CompletingRebalance => rebalance::prepare(group, context),
        GroupState::PreparingRebalance | GroupState::Empty => rebalance::complete_if_all_joined(group, context),
    }
}

/// The generation with the replaced static member is durable, or could not be stored.
pub(super) fn replacement_stored(
    group: &mut Group,
    context: &mut Context,
    replacement: &Replacement,
    result: Result<(), Error>,
) {
    if !group.is(GroupState::Stable) && result != Err(Error::NotCoordinator) {
        // A rebalance began meanwhile: the join is part of it.
        return;
    }
    let Replacement { member_id, former_leader, skips_assignment } = replacement;
    let Some(member) = group.member_mut(member_id) else { return };
    let Some(request) = member.join.take() else { return };
    let session_timeout = member.session_timeout;
    context.schedule_session(&group.id, member_id, session_timeout);
    let result = result.map(|()| {
        let mut generation = group.joined_generation(member_id);
        if *skips_assignment {
            generation.skip_assignment = group.is_leader(member_id);
        } else {
            // A client that cannot skip would assign anew, so it is not told that it leads.
            generation.members.clear();
            generation.leader = former_leader.as_deref().unwrap_or_default().to_owned();
        }
        generation
    });
    // An id that was not stored is never given out: the client asks for another one.
    let member_id = if result.is_ok() { member_id.to_string() } else { String::new() };
    context.reply(request, Response::Join(Joined { member_id, result }));
}
