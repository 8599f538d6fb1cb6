//! From one generation to the next: waiting for members, giving up on some, and the two time-outs.

use std::sync::Arc;

use bytes::Bytes;

use super::Error;
use super::context::{Context, Then, complete_join, complete_sync};
use super::request::GroupState;
use super::state::{Group, InitialDelay};
use super::timers::Timer;

/// A member came or changed: begins a rebalance, or ends the one under way if it was the last to join.
pub(super) fn prepare_or_complete(group: &mut Group, context: &mut Context) {
    match group.state() {
        GroupState::PreparingRebalance => complete_if_all_joined(group, context),
        GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable => prepare(group, context),
    }
}

/// Begins a rebalance: every member has to join again.
pub(super) fn prepare(group: &mut Group, context: &mut Context) {
    if group.is(GroupState::CompletingRebalance) {
        refuse_syncs(group, context, Error::RebalanceInProgress);
    }
    group.pending_sync.clear();
    context.timers.cancel(&Timer::Sync(group.id.clone()));
    let was_empty = group.is(GroupState::Empty);
    group.transition(GroupState::PreparingRebalance, context.now.wall);
    let delay = context.config.initial_rebalance_delay;
    if was_empty && !delay.is_zero() {
        let remaining = group.rebalance_timeout().saturating_sub(delay);
        group.initial_delay = Some(InitialDelay { current: delay, remaining, extended: false });
        context.schedule(Timer::Join(group.id.clone()), delay);
    } else if was_empty || group.has_all_joined() {
        complete(group, context);
    } else {
        context.schedule(Timer::Join(group.id.clone()), group.rebalance_timeout());
    }
}

/// Drops the assignment of a generation that did not come about.
pub(super) fn refuse_syncs(group: &mut Group, context: &mut Context, error: Error) {
    for member in group.members_mut() {
        member.assignment = Bytes::new();
    }
    for member in member_ids(group) {
        complete_sync(group, context, &member, Err(error));
    }
}

/// Ends the join phase if nobody is missing; the first one of an empty group lasts its delay.
pub(super) fn complete_if_all_joined(group: &mut Group, context: &mut Context) {
    if group.is(GroupState::PreparingRebalance) && group.initial_delay.is_none() && group.has_all_joined() {
        complete(group, context);
    }
}

/// The time to join is over, or a part of the delay of an empty group's first rebalance.
pub(super) fn join_time_is_over(group: &mut Group, context: &mut Context) {
    if !group.is(GroupState::PreparingRebalance) {
        return;
    }
    match group.initial_delay {
        Some(InitialDelay { current, remaining, extended: true }) if !remaining.is_zero() => {
            let next = context.config.initial_rebalance_delay.min(remaining);
            let remaining = remaining.saturating_sub(current);
            group.initial_delay = Some(InitialDelay { current: next, remaining, extended: false });
            context.schedule(Timer::Join(group.id.clone()), next);
        }
        _ => complete(group, context),
    }
}

/// Ends the join phase: those that did not rejoin are out, but for static members, whose place is kept for the
/// length of their session.
fn complete(group: &mut Group, context: &mut Context) {
    context.timers.cancel(&Timer::Join(group.id.clone()));
    group.initial_delay = None;
    let is_missing = |m: &&super::member::Member| m.join.is_none() && m.instance_id.is_none();
    let missing: Vec<_> = group.members().filter(is_missing).map(|m| m.id.clone()).collect();
    for member in missing {
        remove_member(group, context, &member);
    }
    if group.members().len() > 0 && !group.elect_joined_leader() {
        // Only absent static members are left: wait until they come or their sessions end.
        context.schedule(Timer::Join(group.id.clone()), group.rebalance_timeout());
        return;
    }
    group.begin_generation(context.now.wall);
    if group.is(GroupState::Empty) {
        let record = group.to_record(|_| Bytes::new());
        // If this is lost, the generation before comes back to life, and its sessions end once more.
        context.append(&group.id, vec![record], Then::Nothing);
        return;
    }
    for member_id in member_ids(group) {
        complete_join(group, context, &member_id, Ok(()));
        if let Some(member) = group.member_mut(&member_id) {
            member.is_new = false;
            let session_timeout = member.session_timeout;
            context.schedule_session(&group.id, &member_id, session_timeout);
        }
        group.pending_sync.insert(member_id);
    }
    context.schedule(Timer::Sync(group.id.clone()), group.rebalance_timeout());
}

/// Members that joined but did not fetch their assignment in time are given up.
pub(super) fn sync_time_is_over(group: &mut Group, context: &mut Context) {
    let is_waiting = matches!(group.state(), GroupState::CompletingRebalance | GroupState::Stable);
    if !is_waiting || group.pending_sync.is_empty() {
        return;
    }
    for member in std::mem::take(&mut group.pending_sync) {
        remove_member(group, context, &member);
    }
    prepare(group, context);
}

/// The session of a member, or of an id that was given out, is over.
pub(super) fn session_is_over(group: &mut Group, context: &mut Context, member_id: &Arc<str>) {
    if group.pending.remove(member_id) {
        complete_if_all_joined(group, context);
        return;
    }
    if group.member(member_id).is_some_and(|member| !member.heartbeat_satisfied()) {
        remove_member(group, context, member_id);
        member_gone(group, context);
    }
}

/// A member is out: the others have to divide its share.
pub(super) fn member_gone(group: &mut Group, context: &mut Context) {
    match group.state() {
        GroupState::Stable | GroupState::CompletingRebalance => prepare(group, context),
        GroupState::PreparingRebalance => complete_if_all_joined(group, context),
        GroupState::Empty => {}
    }
}

/// Takes a member out; if requests of it are parked, its client may join anew.
pub(super) fn remove_member(group: &mut Group, context: &mut Context, member_id: &str) {
    complete_join(group, context, member_id, Err(Error::UnknownMemberId));
    complete_sync(group, context, member_id, Err(Error::UnknownMemberId));
    if let Some(member) = group.remove(member_id) {
        context.cancel_session(&group.id, &member.id);
    }
}

fn member_ids(group: &Group) -> Vec<Arc<str>> {
    group.members().map(|member| member.id.clone()).collect()
}
