//! From a classic group to one of the consumer protocol while it has members (KIP-848): they keep what they have.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::embedded::{Subscription, read_assignment};
use super::group::{Change, Group};
use super::member::{ClassicProfile, Current, Profile};
use super::session;
use crate::group::assigned::Assigned;
use crate::group::context::{complete_join, complete_sync};
use crate::group::coordinator::Coordinator;
use crate::group::member::Member;
use crate::group::timers::Timer;
use crate::group::{Error, state};
use crate::metadata::Topics;

/// The same members in a group of the consumer protocol, in the epoch of the classic generation; none if they are not
/// consumers, or what they embed cannot be read or is more than can be stored.
pub(super) fn to_consumer(classic: &state::Group, topics: &Topics) -> Option<Group> {
    if !classic.is_of_consumers() {
        return None;
    }
    let mut group = Group::new(Arc::clone(&classic.id));
    group.apply(Change::Epoch(Some((classic.generation, 0))));
    let assigned = Assigned { epoch: classic.generation, ..Assigned::default() };
    group.apply(Change::AssignmentEpoch(Some(assigned)));
    let mut taken = BTreeSet::new();
    for member in classic.members() {
        let subscription = Subscription::read(&member.protocols.first()?.metadata).ok()?;
        let assignment = read_assignment(&member.assignment, topics).ok()?;
        // Assignors of clients may give a partition to two.
        let assigned = assignment.filter(|topic, partition| taken.insert((topic, partition)));
        let current = Current {
            epoch: classic.generation,
            previous_epoch: classic.generation,
            assigned: assigned.clone(),
            ..Current::default()
        };
        let profile = Some(profile(member, subscription)).filter(Profile::is_storable)?;
        group.apply(Change::Member(Arc::clone(&member.id), Some(profile)));
        group.apply(Change::Target(Arc::clone(&member.id), Some(assigned)));
        group.apply(Change::Current(Arc::clone(&member.id), Some(current)));
    }
    Some(group)
}

fn profile(member: &Member, subscription: Subscription) -> Profile {
    let classic = ClassicProfile { session_timeout: member.session_timeout, protocols: member.protocols.clone() };
    Profile {
        instance_id: member.instance_id.clone(),
        rack_id: subscription.rack_id,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: subscription.topics,
        regex: None,
        rebalance_timeout: member.rebalance_timeout,
        assignor: None,
        classic: Some(classic),
    }
}

/// The classic group is no more. Whoever waits for it comes again, to the new one; sessions begin anew.
pub(in crate::group) fn retire(coordinator: &mut Coordinator, id: &Arc<str>) {
    let Coordinator { groups, context, .. } = coordinator;
    let Some(mut classic) = groups.remove(id) else { return };
    context.timers.cancel(&Timer::Join(Arc::clone(id)));
    context.timers.cancel(&Timer::Sync(Arc::clone(id)));
    for pending in &classic.pending {
        session::cancel(context, id, pending);
    }
    let members: Vec<_> = classic.members().map(|member| (Arc::clone(&member.id), member.session_timeout)).collect();
    for (member, session_timeout) in members {
        complete_join(&mut classic, context, &member, Err(Error::RebalanceInProgress));
        complete_sync(&mut classic, context, &member, Err(Error::RebalanceInProgress));
        context.schedule_session(id, &member, session_timeout);
    }
}
