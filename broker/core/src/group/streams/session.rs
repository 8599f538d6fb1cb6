//! The alarms of streams groups and of their members, and how a member goes out.

use std::sync::Arc;

use super::group::Group;
use super::member::Progress;
use super::step::{Step, wait_for_targets};
use super::write;
use crate::coordinator::RequestId;
use crate::group::Response;
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::timers::Timer;

/// The member has its whole session before it.
pub(crate) fn begin(context: &mut Context, group: &Group, id: &Arc<str>) {
    let timeout = context.config.streams.session_timeout_of(&group.id, &context.image);
    context.schedule_session(&group.id, id, timeout);
}

/// A member that has to give tasks up has its rebalance timeout for it.
pub(crate) fn watch_revocation(context: &mut Context, group: &Group, id: &Arc<str>) {
    let Some(member) = group.member(id) else { return };
    let timer = Timer::Revocation(Arc::clone(&group.id), Arc::clone(id));
    if member.current.progress == Progress::UnrevokedTasks {
        context.schedule(timer, member.profile.rebalance_timeout);
    } else {
        context.timers.cancel(&timer);
    }
}

/// Begins all sessions of the group anew, after a load or a standstill.
pub(crate) fn begin_all(context: &mut Context, group: &Group) {
    for (id, _) in group.members() {
        begin(context, group, id);
        watch_revocation(context, group, id);
    }
}

/// Begins the time anew that members have for giving tasks up: they may not have been told which.
pub(crate) fn begin_revocations_anew(context: &mut Context, group: &Group) {
    for (id, _) in group.members() {
        watch_revocation(context, group, id);
    }
}

/// Takes a member out, if it is one. The others get its tasks with their next heartbeats. `answer` is given when that is
/// durable.
pub(crate) fn remove(coordinator: &mut Coordinator, group: &str, id: &Arc<str>, answer: Option<(RequestId, Response)>) {
    let Coordinator { streams, context, .. } = coordinator;
    let Some(group) = streams.get_mut(group).filter(|group| group.member(id).is_some()) else { return };
    for timer in [Timer::Session, Timer::Revocation] {
        context.timers.cancel(&timer(Arc::clone(&group.id), Arc::clone(id)));
    }
    let mut step = Step::new(group);
    step.remove(id);
    let changes = step.into_changes();
    write(context, group, Vec::new(), changes, answer);
}

/// A new group has waited long enough for more members, or the interval since its last targets is over: tasks are assigned.
pub(crate) fn assign(coordinator: &mut Coordinator, group: &str) {
    let Coordinator { streams, context, .. } = coordinator;
    // What the topics make of the topology is found by a heartbeat, which then assigns as well.
    let is_known = |group: &&mut Group| !group.is_empty() && group.configured.is_some();
    let Some(group) = streams.get_mut(group).filter(is_known) else { return };
    let is_waiting = context.timers.is_set(&Timer::Assign(Arc::clone(&group.id)));
    if is_waiting || wait_for_targets(group, context).is_some() {
        return;
    }
    let mut step = Step::new(group);
    step.assign(context.now.wall);
    let changes = step.into_changes();
    if !changes.is_empty() {
        write(context, group, Vec::new(), changes, None);
    }
}
