//! The sessions of members of share groups, and how a member goes out.

use std::sync::Arc;

use super::group::Group;
use super::step::Step;
use super::{Told, write};
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;

/// The member has its whole session before it.
pub(crate) fn begin(context: &mut Context, group: &Group, id: &Arc<str>) {
    let timeout = context.config.share.session_timeout_of(&group.id, &context.image);
    context.schedule_session(&group.id, id, timeout);
}

/// Begins all sessions of the group anew, after a load or a standstill.
pub(crate) fn begin_all(context: &mut Context, group: &Group) {
    group.members().for_each(|(id, _)| begin(context, group, id));
}

/// The interval since the last targets of the group is over: it gets its next ones, which members are told of with their
/// next heartbeats.
pub(crate) fn assign(coordinator: &mut Coordinator, group: &str) {
    let Coordinator { shares, context, .. } = coordinator;
    let Some(group) = shares.get_mut(group).filter(|group| !group.is_empty()) else { return };
    let mut step = Step::new(group);
    step.assign(context);
    let changes = step.into_changes();
    if !changes.is_empty() {
        write(context, group, changes, Told::default());
    }
}

/// Takes a member out, if it is one. The others get their shares with their next heartbeats.
pub(crate) fn remove(coordinator: &mut Coordinator, group: &str, id: &Arc<str>, told: Told) {
    let Coordinator { shares, context, .. } = coordinator;
    let Some(group) = shares.get_mut(group).filter(|group| group.member(id).is_some()) else { return };
    context.cancel_session(&group.id, id);
    let mut step = Step::new(group);
    step.remove(id);
    step.refresh(&context.image, true);
    let changes = step.into_changes();
    write(context, group, changes, told);
}
