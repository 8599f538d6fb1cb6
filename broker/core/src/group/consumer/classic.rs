//! Members of the classic protocol in a group of the consumer protocol (KIP-848): what they embed is read, the
//! coordinator assigns to them as to the others, and a rebalance in progress tells them to come for it.

use std::sync::Arc;

use super::embedded::{Subscription, write_assignment};
use super::group::Group;
use super::member::{ClassicProfile, Member, Profile, Progress};
use super::step::{Step, wait_for_targets};
use super::{downgrade, session, write};
use crate::coordinator::RequestId;
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::subscription::CONSUMER;
use crate::group::timers::Timer;
use crate::group::{
    Error, Heartbeat, Join, Joined, JoinedGeneration, Leave, LeftMember, MemberIdentity, Response, Sync, Synced,
};

/// Handles JoinGroup. Unlike in a classic group nobody waits for the others: the epoch is the generation.
pub(crate) fn join(coordinator: &mut Coordinator, request: RequestId, mut join: Join) {
    let Coordinator { consumers, context, .. } = coordinator;
    let Some(group) = consumers.get_mut(join.group.as_str()) else { return };
    let is_new = join.member_id.is_empty();
    let id: Arc<str> = if is_new { join.fresh_id.to_string().into() } else { join.member_id.as_str().into() };
    let former = match admit(group, &join, &id, context) {
        Ok(former) => former,
        Err(error) => return context.reply_join_error(request, &join.member_id, error),
    };
    if is_new && join.instance_id.is_none() && join.requires_known_member_id {
        return context.reply_join_error(request, &id, Error::MemberIdRequired);
    }
    let Some(subscription) = join.protocols.first().and_then(|first| Subscription::read(&first.metadata).ok()) else {
        return context.reply_join_error(request, &join.member_id, Error::InconsistentGroupProtocol);
    };
    let protocol = join.protocols.first().map(|first| first.name.clone());
    let protocols = std::mem::take(&mut join.protocols);
    let owned = subscription.owned(context.image.topics());
    let classic = ClassicProfile { session_timeout: join.session_timeout, protocols };
    let profile = profile(&join, subscription, classic);
    if !profile.is_storable() {
        return context.reply_join_error(request, &join.member_id, Error::InconsistentGroupProtocol);
    }
    let mut step = Step::new(group);
    if let Some(old) = &former {
        step.replace(old, &id);
    }
    let changed = step.put_profile(&id, profile);
    step.refresh(&context.image, context.now.wall.0, changed);
    step.assign(context);
    step.reconcile(&id, Some(&owned));
    let changes = step.into_changes();

    let generation = JoinedGeneration {
        generation: group.member(&id).map_or(0, |member| member.current.epoch),
        protocol_type: Some(CONSUMER.to_owned()),
        protocol,
        leader: String::new(),
        skip_assignment: false,
        members: Vec::new(),
    };
    let answer = Response::Join(Joined { member_id: id.to_string(), result: Ok(generation) });
    if let Some(old) = &former {
        session::cancel(context, &group.id, old);
    }
    let group_id = Arc::clone(&group.id);
    if former.is_some() && downgrade::is_due(group, &[], context) {
        write(context, group, Vec::new(), changes, []);
        downgrade::convert(coordinator, &group_id, &[], Some((request, answer)));
        return;
    }
    session::cancel(context, &group_id, &id);
    session::begin(context, group, &id);
    context.schedule(Timer::Resync(group_id, id), join.rebalance_timeout);
    write(context, group, Vec::new(), changes, [(request, answer)]);
}

/// Whether the member may join; the incarnation before of a static one.
fn admit(group: &Group, join: &Join, id: &Arc<str>, context: &Context) -> Result<Option<Arc<str>>, Error> {
    let former = join.instance_id.as_deref().map(|instance_id| group.static_member(instance_id));
    let is_known = group.member(id).is_some() || matches!(former, Some(Some(_)));
    if !is_known && group.members().len() >= context.config.consumer.max_size {
        return Err(Error::GroupMaxSizeReached);
    }
    if !supports(group, join) {
        return Err(Error::InconsistentGroupProtocol);
    }
    match former {
        None | Some(None) if join.member_id.is_empty() => Ok(None),
        None => Ok(None),
        Some(None) => Err(Error::UnknownMemberId),
        Some(Some((owner, _))) if join.member_id.is_empty() => Ok(Some(Arc::clone(owner))),
        Some(Some((owner, _))) if owner == id => Ok(None),
        Some(Some(_)) => Err(Error::FencedInstanceId),
    }
}

/// Consumers with a protocol that all members of the classic protocol follow, so that the group may become a classic one.
fn supports(group: &Group, join: &Join) -> bool {
    let follows = |member: &Member, name: &str| {
        member.profile.classic.as_ref().is_none_or(|classic| classic.protocols.iter().any(|p| p.name == name))
    };
    join.protocol_type == CONSUMER
        && join.protocols.iter().any(|protocol| group.members().all(|(_, member)| follows(member, &protocol.name)))
}

fn profile(join: &Join, subscription: Subscription, classic: ClassicProfile) -> Profile {
    Profile {
        instance_id: join.instance_id.clone(),
        rack_id: subscription.rack_id,
        client_id: join.client_id.clone(),
        client_host: join.client_host.clone(),
        topics: subscription.topics,
        regex: None,
        rebalance_timeout: join.rebalance_timeout,
        assignor: None,
        classic: Some(classic),
    }
}

/// Handles SyncGroup: the assignment is there already.
pub(crate) fn sync(coordinator: &mut Coordinator, request: RequestId, sync: &Sync) {
    let Coordinator { consumers, context, .. } = coordinator;
    let Some(group) = consumers.get(sync.group.as_str()) else { return };
    match synced(group, context, sync) {
        Ok((id, synced)) => {
            context.timers.cancel(&Timer::Resync(Arc::clone(&group.id), Arc::clone(&id)));
            session::begin(context, group, &id);
            context.append_and_answer(&group.id, Vec::new(), [(request, Response::Sync(Ok(synced)))]);
        }
        Err(error) => context.reply(request, Response::Sync(Err(error))),
    }
}

fn synced(group: &Group, context: &mut Context, sync: &Sync) -> Result<(Arc<str>, Synced), Error> {
    let (id, member) = find(group, &sync.member_id, sync.instance_id.as_deref())?;
    let classic = member.profile.classic.as_ref().ok_or(Error::UnknownMemberId)?;
    if sync.generation != member.current.epoch {
        return Err(Error::IllegalGeneration);
    }
    let first = classic.protocols.first();
    let protocol = first.map(|first| first.name.clone()).unwrap_or_default();
    let differs = |asked: &Option<String>, own: &str| asked.as_deref().is_some_and(|asked| asked != own);
    if differs(&sync.protocol_type, CONSUMER) || differs(&sync.protocol, &protocol) {
        return Err(Error::InconsistentGroupProtocol);
    }
    // One that has to give something up first has rejoined already, and goes on from there.
    if is_behind(group, member, context) && member.current.progress != Progress::UnrevokedPartitions {
        expect_rejoin(context, group, id, member);
        return Err(Error::RebalanceInProgress);
    }
    let version = first.and_then(|first| Subscription::read(&first.metadata).ok()).map_or(0, |read| read.version);
    let assignment = write_assignment(version, &member.current.assigned, context.image.topics());
    Ok((Arc::clone(id), Synced { protocol_type: Some(CONSUMER.to_owned()), protocol: Some(protocol), assignment }))
}

/// Handles Heartbeat: tells the member to join again when there is something for it to do or to get.
pub(crate) fn heartbeat(coordinator: &mut Coordinator, heartbeat: &Heartbeat) -> Result<(), Error> {
    let Coordinator { consumers, context, .. } = coordinator;
    let group = consumers.get(heartbeat.group.as_str()).ok_or(Error::UnknownMemberId)?;
    let (id, member) = find(group, &heartbeat.member_id, heartbeat.instance_id.as_deref())?;
    if !member.is_classic() {
        return Err(Error::UnknownMemberId);
    }
    if heartbeat.generation != member.current.epoch {
        return Err(Error::IllegalGeneration);
    }
    session::begin(context, group, id);
    let is_new = |topic, partition| !member.current.assigned.contains(topic, partition);
    let can_get_all = || {
        let mut wanted = member.target.iter().filter(|(topic, partition)| is_new(*topic, *partition));
        wanted.all(|(topic, partition)| group.is_free_for(id, topic, partition))
    };
    let has_to_rejoin = match member.current.progress {
        _ if is_behind(group, member, context) => true,
        Progress::UnrevokedPartitions | Progress::Unknown => true,
        Progress::UnreleasedPartitions => can_get_all(),
        Progress::Stable => false,
    };
    if has_to_rejoin {
        expect_rejoin(context, group, id, member);
        return Err(Error::RebalanceInProgress);
    }
    Ok(())
}

/// Whether there are targets of a later epoch than that of the member, or will be when it joins again.
fn is_behind(group: &Group, member: &Member, context: &Context) -> bool {
    let epoch = if wait_for_targets(group, context).is_some() { group.assigned.epoch } else { group.epoch };
    member.current.epoch < epoch
}

/// The member is out unless it joins within its rebalance timeout.
fn expect_rejoin(context: &mut Context, group: &Group, id: &Arc<str>, member: &Member) {
    let timer = Timer::Rejoin(Arc::clone(&group.id), Arc::clone(id));
    if !context.timers.is_set(&timer) {
        context.schedule(timer, member.profile.rebalance_timeout);
    }
}

/// Handles LeaveGroup: of members of the classic protocol.
pub(crate) fn leave(coordinator: &mut Coordinator, request: RequestId, leave: Leave) {
    let Some(group) = coordinator.consumers.get(leave.group.as_str()) else { return };
    let mut gone = Vec::new();
    let members = leave.members.into_iter().map(|member| {
        let found = leaving(group, &member);
        let result = found.map(|id| {
            if !gone.contains(id) {
                gone.push(Arc::clone(id))
            }
        });
        LeftMember { member, result }
    });
    let answer = Response::Leave(Ok(members.collect()));
    if gone.is_empty() {
        coordinator.context.reply(request, answer);
    } else {
        session::remove(coordinator, &leave.group, &gone, Some((request, answer)));
    }
}

fn leaving<'a>(group: &'a Group, member: &MemberIdentity) -> Result<&'a Arc<str>, Error> {
    let (id, found) = match &member.instance_id {
        Some(instance_id) if member.member_id.is_empty() => {
            group.static_member(instance_id).ok_or(Error::UnknownMemberId)?
        }
        instance_id => find(group, &member.member_id, instance_id.as_deref())?,
    };
    if found.is_classic() { Ok(id) } else { Err(Error::UnknownMemberId) }
}

fn find<'a>(group: &'a Group, id: &str, instance_id: Option<&str>) -> Result<(&'a Arc<str>, &'a Member), Error> {
    let Some(instance_id) = instance_id else { return group.member_entry(id).ok_or(Error::UnknownMemberId) };
    match group.static_member(instance_id) {
        None => Err(Error::UnknownMemberId),
        Some((owner, _)) if **owner != *id => Err(Error::FencedInstanceId),
        Some(found) => Ok(found),
    }
}
