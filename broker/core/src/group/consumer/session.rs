//! The alarms of members of the consumer protocol, and how a member goes out.

use std::sync::Arc;

use super::group::Group;
use super::member::Progress;
use super::step::Step;
use super::{downgrade, write};
use crate::coordinator::RequestId;
use crate::group::Response;
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::timers::Timer;

/// The member has its whole session before it.
pub(crate) fn begin(context: &mut Context, group: &Group, id: &Arc<str>) {
    let Some(member) = group.member(id) else { return };
    let timeout = match &member.profile.classic {
        Some(classic) => classic.session_timeout,
        None => context.config.consumer.session_timeout_of(&group.id, &context.image),
    };
    context.schedule_session(&group.id, id, timeout);
}

/// A member of the consumer protocol that has to give partitions up has its rebalance timeout for it.
pub(crate) fn watch_revocation(context: &mut Context, group: &Group, id: &Arc<str>) {
    let Some(member) = group.member(id) else { return };
    let timer = Timer::Revocation(Arc::clone(&group.id), Arc::clone(id));
    if member.current.progress == Progress::UnrevokedPartitions && !member.is_classic() {
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

/// Begins the time anew that members have for giving partitions up: they may not have been told what.
pub(crate) fn begin_revocations_anew(context: &mut Context, group: &Group) {
    for (id, _) in group.members() {
        watch_revocation(context, group, id);
    }
}

/// Forgets every alarm of the member.
pub(crate) fn cancel(context: &mut Context, group: &Arc<str>, id: &Arc<str>) {
    cancel_classic(context, group, id);
    for timer in [Timer::Session, Timer::Revocation] {
        context.timers.cancel(&timer(Arc::clone(group), Arc::clone(id)));
    }
}

/// Forgets the alarms that a member has only while it uses the classic protocol.
pub(crate) fn cancel_classic(context: &mut Context, group: &Arc<str>, id: &Arc<str>) {
    for timer in [Timer::Rejoin, Timer::Resync] {
        context.timers.cancel(&timer(Arc::clone(group), Arc::clone(id)));
    }
}

/// An alarm of a member has rung: it is out.
pub(crate) fn is_over(coordinator: &mut Coordinator, group: &Arc<str>, id: &Arc<str>) {
    if coordinator.consumers.get(group).is_some_and(|found| found.member(id).is_some()) {
        remove(coordinator, group, std::slice::from_ref(id), None);
    }
}

/// The interval since the last targets of the group is over: it gets its next ones, which members are told of with their
/// next heartbeats.
pub(crate) fn assign(coordinator: &mut Coordinator, group: &str) {
    let Coordinator { consumers, context, .. } = coordinator;
    let Some(group) = consumers.get_mut(group).filter(|group| !group.is_empty()) else { return };
    let mut step = Step::new(group);
    step.assign(context);
    let changes = step.into_changes();
    if !changes.is_empty() {
        write(context, group, Vec::new(), changes, []);
    }
}

/// Takes members out. The others get their shares with their next heartbeats; if only members of the classic protocol
/// are left, the group is a classic one from now on. `answer` is given when that is durable.
pub(crate) fn remove(
    coordinator: &mut Coordinator,
    group: &str,
    ids: &[Arc<str>],
    answer: Option<(RequestId, Response)>,
) {
    let Coordinator { consumers, context, .. } = coordinator;
    let Some(found) = consumers.get_mut(group) else { return };
    let group = Arc::clone(&found.id);
    for id in ids {
        cancel(context, &group, id);
    }
    if downgrade::is_due(found, ids, context) {
        return downgrade::without(coordinator, &group, ids, answer);
    }
    let mut step = Step::new(found);
    ids.iter().for_each(|id| step.remove(id));
    step.refresh(&context.image, context.now.wall.0, true);
    let changes = step.into_changes();
    write(context, found, Vec::new(), changes, answer);
}
