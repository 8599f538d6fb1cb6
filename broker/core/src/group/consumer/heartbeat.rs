//! ConsumerGroupHeartbeat: joins, keeps alive, reconciles, leaves (KIP-848).

use std::sync::Arc;
use std::time::Duration;

use super::config::ConsumerConfig;
use super::entry::Entry;
use super::group::{Change, Group};
use super::member::{Current, MAX_SAID, Member, Profile, Progress, size_of_names};
use super::pattern::Pattern;
use super::request::{Beat, ConsumerHeartbeat, JOIN, LEAVE, LEAVE_FOR_A_WHILE, Refusal};
use super::step::Step;
use super::{Partitions, session, write};
use crate::coordinator::{MAX_STRING, RequestId};
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::timers::Timer;
use crate::group::{Error, Response};

/// Handles ConsumerGroupHeartbeat: answered when what it changed is durable, and all that was changed before it.
pub(crate) fn heartbeat(coordinator: &mut Coordinator, request: RequestId, beat: ConsumerHeartbeat) {
    let known = coordinator.consumers.get(beat.group.as_str()).and_then(|group| group.member(&beat.member_id));
    let checked = check(&beat, known, &coordinator.context.config.consumer);
    let handled = checked.and_then(|()| match beat.member_epoch {
        LEAVE | LEAVE_FOR_A_WHILE => leave(coordinator, request, &beat),
        _ => stay(coordinator, request, beat),
    });
    if let Err(refusal) = handled {
        coordinator.context.reply(request, Response::ConsumerHeartbeat(Err(refusal)));
    }
}

/// What can be said of the request without looking at the group; `known` is the member as it is, if it is one.
fn check(beat: &ConsumerHeartbeat, known: Option<&Member>, config: &ConsumerConfig) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(Error::InvalidRequest, message));
    let is_empty = |text: &Option<String>| text.as_deref() == Some("");
    if beat.group.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if is_empty(&beat.instance_id) {
        return invalid("InstanceId can't be empty.");
    }
    if is_empty(&beat.rack_id) {
        return invalid("RackId can't be empty.");
    }
    if beat.member_id.is_empty() && (beat.member_epoch != JOIN || beat.makes_own_id) {
        return invalid("MemberId can't be empty.");
    }
    match beat.member_epoch {
        JOIN if beat.rebalance_timeout.is_none() => {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        JOIN if !beat.owned.as_ref().is_some_and(Partitions::is_empty) => {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        JOIN if beat.topics.is_none() && beat.regex.is_none() => {
            let message = "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
            return invalid(message);
        }
        LEAVE_FOR_A_WHILE if beat.instance_id.is_none() => return invalid("InstanceId can't be null."),
        ..LEAVE_FOR_A_WHILE => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    let optional = beat.instance_id.iter().chain(&beat.rack_id).chain(&beat.regex);
    let texts = [&beat.group, &beat.member_id, &beat.client_id, &beat.client_host].into_iter().chain(optional);
    if texts.into_iter().any(|text| text.len() > MAX_STRING) {
        return invalid("A text of the request is too long to be stored.");
    }
    if size_of_names(beat.topics.iter().flatten()) > MAX_SAID {
        return invalid("The SubscribedTopicNames are too many to be stored.");
    }
    if let Some(name) = &beat.assignor
        && config.assignor(name).is_none()
    {
        let known: Vec<&str> = config.assignors.iter().map(|assignor| assignor.name()).collect();
        let known = known.join(", ");
        let message = format!("ServerAssignor {name} is not supported. Supported assignors: {known}.");
        return Err(Refusal::new(Error::UnsupportedAssignor, message));
    }
    // A pattern that has been accepted before need not be compiled once more.
    let accepted = known.and_then(|member| member.profile.regex.as_ref());
    let new = beat.regex.as_ref().filter(|pattern| !pattern.is_empty() && Some(*pattern) != accepted);
    new.map_or(Ok(()), |pattern| Pattern::new(pattern).map(drop))
}

/// A member joins, or goes on.
fn stay(coordinator: &mut Coordinator, request: RequestId, beat: ConsumerHeartbeat) -> Result<(), Refusal> {
    let id: Arc<str> =
        if beat.member_id.is_empty() { beat.fresh_id.to_string().into() } else { beat.member_id.as_str().into() };
    let is_joining = beat.member_epoch == JOIN;
    let mut entry = Entry::open(coordinator, &beat.group, is_joining)?;
    let max_size = coordinator.context.config.consumer.max_size;
    let former = match admit(&entry.group, &beat, &id, max_size) {
        Ok(former) => former,
        Err(refusal) => return Err(entry.abandon(coordinator, refusal)),
    };
    let before = entry.group.member(&id).map(|member| member.current.clone());
    let (changes, reassigned) = advance(&mut entry.group, &mut coordinator.context, &beat, &id, former);

    let (records, group, context) = entry.settle(coordinator);
    let current = group.member(&id).map(|member| member.current.clone()).unwrap_or_default();
    session::begin(context, group, &id);
    if before.as_ref() != Some(&current) {
        session::watch_revocation(context, group, &id);
    }
    let subscribes = beat.topics.is_some() || beat.regex.is_some();
    let is_full = beat.rebalance_timeout.is_some() && subscribes && beat.owned.is_some();
    let answer = Beat {
        member_id: id.to_string(),
        member_epoch: current.epoch,
        heartbeat_interval: context.config.consumer.heartbeat_interval_of(&group.id, &context.image),
        assignment: (is_joining || is_full || reassigned).then_some(current.assigned),
    };
    write(context, group, records, changes, [(request, Response::ConsumerHeartbeat(Ok(answer)))]);
    Ok(())
}

/// Makes of the group what the heartbeat of an admitted member makes of it; also tells whether the member has another
/// assignment now.
fn advance(
    group: &mut Group,
    context: &mut Context,
    beat: &ConsumerHeartbeat,
    id: &Arc<str>,
    former: Former,
) -> (Vec<Change>, bool) {
    let mut step = Step::new(group);
    match former {
        Former::Other(old) => {
            step.replace(&old, id);
            session::cancel(context, &step.group.id, &old);
        }
        Former::Itself if beat.member_epoch == JOIN => step.begin_anew(id),
        Former::Itself | Former::Nobody => {}
    }
    let before = step.group.member(id).map(|member| member.profile.clone()).unwrap_or_default();
    if before.classic.is_some() {
        session::cancel_classic(context, &step.group.id, id);
    }
    let profile = profile(before, beat);
    let changed = step.put_profile(id, profile);
    step.refresh(&context.image, context.now.wall.0, changed);
    step.assign(context);
    let reassigned = step.reconcile(id, beat.owned.as_ref());
    (step.into_changes(), reassigned)
}

/// Who had the place of a member before.
enum Former {
    Nobody,
    Itself,
    /// The incarnation before of the static member.
    Other(Arc<str>),
}

/// Whether the member may join or go on.
fn admit(group: &Group, beat: &ConsumerHeartbeat, id: &Arc<str>, max_size: usize) -> Result<Former, Refusal> {
    let by_instance = beat.instance_id.as_deref().map(|instance_id| (instance_id, group.static_member(instance_id)));
    let is_new = group.member(id).is_none() && !matches!(by_instance, Some((_, Some(_))));
    if is_new && group.members().len() >= max_size {
        let message = format!("The consumer group has reached its maximum capacity of {max_size} members.");
        return Err(Refusal::new(Error::GroupMaxSizeReached, message));
    }
    let is_joining = beat.member_epoch == JOIN;
    match by_instance {
        Some((_, None)) if is_joining => Ok(Former::Nobody),
        Some((instance_id, Some((owner, member)))) if is_joining && owner != id => {
            if !member.is_classic() && member.current.epoch != LEAVE_FOR_A_WHILE {
                let message = format!(
                    "Static member {id} with instance id {instance_id} cannot join the group because the instance id is owned by {owner} member."
                );
                return Err(Refusal::new(Error::UnreleasedInstanceId, message));
            }
            Ok(Former::Other(Arc::clone(owner)))
        }
        Some((instance_id, found)) => {
            let (_, member) = static_member(found, id, instance_id)?;
            check_epoch(member, beat).map(|()| Former::Itself)
        }
        None => match group.member(id) {
            Some(member) => check_epoch(member, beat).map(|()| Former::Itself),
            None if is_joining => Ok(Former::Nobody),
            None => Err(unknown(id, &group.id)),
        },
    }
}

/// The static member, if `id` is its present incarnation.
fn static_member<'a>(
    found: Option<(&'a Arc<str>, &'a Member)>,
    id: &str,
    instance_id: &str,
) -> Result<(&'a Arc<str>, &'a Member), Refusal> {
    match found {
        None => Err(Refusal::new(Error::UnknownMemberId, format!("Instance id {instance_id} is unknown."))),
        Some((owner, _)) if **owner != *id => {
            let message = format!("Static member {id} with instance id {instance_id} was fenced by member {owner}.");
            Err(Refusal::new(Error::FencedInstanceId, message))
        }
        Some(found) => Ok(found),
    }
}

fn unknown(id: &str, group: &str) -> Refusal {
    Refusal::new(Error::UnknownMemberId, format!("Member {id} is not a member of group {group}."))
}

/// A member goes on from its epoch, or from the one before if the answer with the new one may have been lost.
fn check_epoch(member: &Member, beat: &ConsumerHeartbeat) -> Result<(), Refusal> {
    let (said, current) = (beat.member_epoch, &member.current);
    let is_repeated =
        said == current.previous_epoch && beat.owned.as_ref().is_some_and(|owned| owned.is_subset(&current.assigned));
    if said == JOIN || said == current.epoch || said < current.epoch && is_repeated {
        return Ok(());
    }
    let order = if said > current.epoch { "greater" } else { "smaller" };
    let message = format!(
        "The consumer group member has a {order} member epoch ({said}) than the one known by the group coordinator ({}). The member must abandon all its partitions and rejoin.",
        current.epoch
    );
    Err(Refusal::new(Error::FencedMemberEpoch, message))
}

/// What the member says of itself now.
fn profile(before: Profile, beat: &ConsumerHeartbeat) -> Profile {
    let or_before = |said: &Option<String>, before: Option<String>| said.clone().or(before);
    Profile {
        instance_id: or_before(&beat.instance_id, before.instance_id),
        rack_id: or_before(&beat.rack_id, before.rack_id),
        client_id: beat.client_id.clone(),
        client_host: beat.client_host.clone(),
        topics: beat.topics.as_ref().map_or(before.topics, |topics| topics.iter().cloned().collect()),
        regex: or_before(&beat.regex, before.regex).filter(|pattern| !pattern.is_empty()),
        rebalance_timeout: beat.rebalance_timeout.unwrap_or(before.rebalance_timeout),
        assignor: or_before(&beat.assignor, before.assignor),
        classic: None,
    }
}

impl Step<'_> {
    /// A member that was in the group joins once more. It says that it owns nothing, so what it is not to keep is free.
    fn begin_anew(&mut self, id: &Arc<str>) {
        let Some(member) = self.group.member(id) else { return };
        let assigned = member.current.assigned.clone();
        let current = Current { progress: Progress::Stable, assigned, ..Current::default() };
        if current != member.current {
            self.put(Change::Current(Arc::clone(id), Some(current)));
        }
    }
}

/// A member goes, for good or, as a static one, for a while.
fn leave(coordinator: &mut Coordinator, request: RequestId, beat: &ConsumerHeartbeat) -> Result<(), Refusal> {
    let group = coordinator.consumer_group(&beat.group)?;
    let found = match beat.instance_id.as_deref() {
        Some(instance_id) => static_member(group.static_member(instance_id), &beat.member_id, instance_id)?,
        None => group.member_entry(&beat.member_id).ok_or_else(|| unknown(&beat.member_id, &beat.group))?,
    };
    let (id, current) = (Arc::clone(found.0), found.1.current.clone());
    let answer = Beat {
        member_id: beat.member_id.clone(),
        member_epoch: beat.member_epoch,
        heartbeat_interval: Duration::ZERO,
        assignment: None,
    };
    let answer = (request, Response::ConsumerHeartbeat(Ok(answer)));
    if beat.member_epoch == LEAVE {
        session::remove(coordinator, &beat.group, &[id], Some(answer));
        return Ok(());
    }
    // It is to come back for what it has; what it was giving up it has given up by leaving.
    let Coordinator { consumers, context, .. } = coordinator;
    let Some(group) = consumers.get_mut(beat.group.as_str()) else { return Ok(()) };
    let mut step = Step::new(group);
    let away = Current { epoch: LEAVE_FOR_A_WHILE, revoking: Partitions::default(), ..current };
    step.put(Change::Current(Arc::clone(&id), Some(away)));
    let changes = step.into_changes();
    context.timers.cancel(&Timer::Revocation(Arc::clone(&group.id), id));
    write(context, group, Vec::new(), changes, [answer]);
    Ok(())
}
