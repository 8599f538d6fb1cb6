//! From a group of the consumer protocol to a classic one, when only members of the classic protocol are left (KIP-848).

use std::sync::Arc;

use super::embedded::{Subscription, write_assignment};
use super::group::Group;
use super::of_group;
use crate::coordinator::RequestId;
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::member::Member;
use crate::group::{Response, rebalance, state};
use crate::metadata::Topics;

/// Whether the group is to be a classic one once `leaving` are out.
pub(super) fn is_due(group: &Group, leaving: &[Arc<str>], context: &Context) -> bool {
    let mut left = group.members().filter(|(id, _)| !leaving.contains(id)).peekable();
    let has_left = left.peek().is_some();
    let remaining = group.members().len().saturating_sub(leaving.len());
    has_left
        && left.all(|(_, member)| member.is_classic())
        && context.config.consumer.migration.downgrade
        && remaining <= context.config.max_size
}

/// Makes it a classic group without `leaving`, and has its members join again to divide their shares.
pub(super) fn without(
    coordinator: &mut Coordinator,
    id: &Arc<str>,
    leaving: &[Arc<str>],
    answer: Option<(RequestId, Response)>,
) {
    convert(coordinator, id, leaving, answer);
    if let Some(group) = coordinator.groups.get_mut(id) {
        rebalance::prepare(group, &mut coordinator.context);
    }
}

/// Makes it a classic group without `leaving`; its members go on with what they have.
pub(super) fn convert(
    coordinator: &mut Coordinator,
    id: &Arc<str>,
    leaving: &[Arc<str>],
    answer: Option<(RequestId, Response)>,
) {
    let Coordinator { groups, consumers, context, .. } = coordinator;
    let Some(group) = consumers.remove(id) else { return };
    let mut records: Vec<_> = of_group(id, group.tombstones()).collect();
    let members: Vec<Member> = group
        .members()
        .filter(|(member_id, _)| !leaving.contains(member_id))
        .filter_map(|(member_id, member)| classic(member_id, member, context.image.topics()))
        .collect();
    for (member_id, _) in group.members() {
        super::session::cancel(context, id, member_id);
    }
    for member in &members {
        context.schedule_session(id, &member.id, member.session_timeout);
    }
    let classic = state::Group::stable(Arc::clone(id), group.epoch, members, context.now.wall);
    records.push(classic.to_record(|member| member.assignment.clone()));
    context.append_and_answer(id, records, answer);
    groups.insert(Arc::clone(id), classic);
}

/// The member as a classic group has it.
fn classic(id: &Arc<str>, member: &super::member::Member, topics: &Topics) -> Option<Member> {
    let said = member.profile.classic.clone()?;
    let version = said.protocols.first().and_then(|protocol| Subscription::read(&protocol.metadata).ok());
    let assignment = write_assignment(version.map_or(0, |read| read.version), &member.target, topics);
    Some(Member {
        id: Arc::clone(id),
        instance_id: member.profile.instance_id.clone(),
        client_id: member.profile.client_id.clone(),
        client_host: member.profile.client_host.clone(),
        rebalance_timeout: member.profile.rebalance_timeout,
        session_timeout: said.session_timeout,
        protocols: said.protocols,
        assignment,
        is_new: false,
        join: None,
        sync: None,
    })
}
