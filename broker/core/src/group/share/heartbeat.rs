//! ShareGroupHeartbeat: joins, keeps alive, leaves (KIP-932).

use std::sync::Arc;
use std::time::Duration;

use super::calls::Purpose;
use super::group::{Change, Group};
use super::member::{Current, Member, Profile};
use super::request::{ShareBeat, ShareHeartbeat};
use super::step::Step;
use super::{Told, calls, session, write};
use crate::Offset;
use crate::coordinator::{MAX_STRING, RequestId};
use crate::group::consumer::{MAX_SAID, size_of_names};
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::{Error, JOIN, LEAVE, Partitions, Refusal, Response};

/// Handles ShareGroupHeartbeat: answered when what it changed is durable, and all that was changed before it.
pub(crate) fn heartbeat(coordinator: &mut Coordinator, request: RequestId, beat: &ShareHeartbeat) {
    let handled = check(beat).and_then(|()| match beat.member_epoch {
        LEAVE => leave(coordinator, request, beat),
        _ => stay(coordinator, request, beat),
    });
    if let Err(refusal) = handled {
        coordinator.context.reply(request, Response::ShareHeartbeat(Err(refusal)));
    }
}

/// What can be said of the request without looking at the group.
fn check(beat: &ShareHeartbeat) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(Error::InvalidRequest, message));
    if beat.member_id.is_empty() {
        return invalid("MemberId can't be empty.");
    }
    if beat.group.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if beat.rack_id.as_deref() == Some("") {
        return invalid("RackId can't be empty.");
    }
    match beat.member_epoch {
        JOIN if beat.topics.as_ref().is_none_or(Vec::is_empty) => {
            return invalid("SubscribedTopicNames must be set in first request.");
        }
        epoch if epoch < LEAVE => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    let texts = [&beat.group, &beat.member_id, &beat.client_id, &beat.client_host].into_iter().chain(&beat.rack_id);
    if texts.into_iter().any(|text| text.len() > MAX_STRING) {
        return invalid("A text of the request is too long to be stored.");
    }
    if size_of_names(beat.topics.iter().flatten()) > MAX_SAID {
        return invalid("The SubscribedTopicNames are too many to be stored.");
    }
    Ok(())
}

/// A member joins, or goes on.
fn stay(coordinator: &mut Coordinator, request: RequestId, beat: &ShareHeartbeat) -> Result<(), Refusal> {
    if !coordinator.shares.contains_key(beat.group.as_str()) && coordinator.has_group(&beat.group) {
        return Err(Refusal::new(Error::GroupIdNotFound, format!("Group {} is not a share group.", beat.group)));
    }
    let Coordinator { shares, context, .. } = coordinator;
    admit(shares.get(beat.group.as_str()), beat, context.config.share.max_size)?;
    let group = shares.entry(beat.group.as_str().into()).or_insert_with_key(|id| Group::new(Arc::clone(id)));
    let id: Arc<str> = beat.member_id.as_str().into();
    let (changes, reassigned, missing) = advance(group, context, beat, &id);
    session::begin(context, group, &id);

    let is_told = beat.member_epoch == JOIN || beat.topics.is_some() || reassigned;
    let current = group.member(&id).map(|member| member.current.clone()).unwrap_or_default();
    let answer = ShareBeat {
        member_id: beat.member_id.clone(),
        member_epoch: current.epoch,
        heartbeat_interval: context.config.share.heartbeat_interval_of(&group.id, &context.image),
        assignment: is_told.then_some(current.assigned),
    };
    let offsets = missing.iter().map(|(topic, partition)| (topic, partition, Offset(-1))).collect();
    let call = (!missing.is_empty()).then(|| calls::initialize(context, group, offsets, Purpose::Assign));
    let answers = vec![(request, Response::ShareHeartbeat(Ok(answer)))];
    write(context, group, changes, Told { answers, calls: call.into_iter().collect() });
    Ok(())
}

/// Makes of the group what the heartbeat of an admitted member makes of it; also tells whether the member has another
/// assignment now, and which partitions are to get a state.
fn advance(
    group: &mut Group,
    context: &mut Context,
    beat: &ShareHeartbeat,
    id: &Arc<str>,
) -> (Vec<Change>, bool, Partitions) {
    let image = Arc::clone(&context.image);
    let before = group.member(id).map(|member| member.profile.clone()).unwrap_or_default();
    let mut step = Step::new(group);
    let changed = step.put_profile(id, profile(before, beat));
    step.refresh(&image, changed);
    step.assign(context);
    let reassigned = step.reconcile(id);
    let missing = step.group.states.missing(step.group.subscribed_topics(), image.topics());
    let missing = missing.filter(|topic, index| !context.calls.is_under_way(&step.group.id, topic, index));
    step.initialize(&missing, &image);
    (step.into_changes(), reassigned, missing)
}

/// Whether the member may join or go on.
fn admit(group: Option<&Group>, beat: &ShareHeartbeat, max_size: usize) -> Result<(), Refusal> {
    let is_joining = beat.member_epoch == JOIN;
    let Some(group) = group else {
        let not_found = || Refusal::new(Error::GroupIdNotFound, format!("Share group {} not found.", beat.group));
        return is_joining.then_some(()).ok_or_else(not_found);
    };
    match group.member(&beat.member_id) {
        Some(member) => check_epoch(member, beat.member_epoch),
        None if group.members().len() >= max_size => {
            let message = format!("The share group has reached its maximum capacity of {max_size} members.");
            Err(Refusal::new(Error::GroupMaxSizeReached, message))
        }
        None if is_joining => Ok(()),
        None => Err(unknown(beat)),
    }
}

fn unknown(beat: &ShareHeartbeat) -> Refusal {
    let message = format!("Member {} is not a member of group {}.", beat.member_id, beat.group);
    Refusal::new(Error::UnknownMemberId, message)
}

/// A member goes on from its epoch, or from the one before if the answer with the new one may have been lost.
fn check_epoch(member: &Member, said: i32) -> Result<(), Refusal> {
    let Current { epoch, previous_epoch, .. } = member.current;
    if said == JOIN || said == epoch || said < epoch && said == previous_epoch {
        return Ok(());
    }
    let known = format!("({said}) than the one known by the group coordinator ({epoch})");
    let what = if said > epoch {
        format!("The share group member has a greater member epoch {known}.")
    } else {
        format!(
            "The share group member has a smaller member epoch {known}, and it does not match the previous member epoch ({previous_epoch})."
        )
    };
    let message = format!("{what} The member must abandon all its partitions and rejoin.");
    Err(Refusal::new(Error::FencedMemberEpoch, message))
}

/// What the member says of itself now.
fn profile(before: Profile, beat: &ShareHeartbeat) -> Profile {
    Profile {
        rack_id: beat.rack_id.clone().or(before.rack_id),
        client_id: beat.client_id.clone(),
        client_host: beat.client_host.clone(),
        topics: beat.topics.as_ref().map_or(before.topics, |topics| topics.iter().cloned().collect()),
    }
}

/// A member goes.
fn leave(coordinator: &mut Coordinator, request: RequestId, beat: &ShareHeartbeat) -> Result<(), Refusal> {
    let group = coordinator.share_group(&beat.group)?;
    let (id, _) = group.member_entry(&beat.member_id).ok_or_else(|| unknown(beat))?;
    let id = Arc::clone(id);
    let answer = ShareBeat {
        member_id: beat.member_id.clone(),
        member_epoch: LEAVE,
        heartbeat_interval: Duration::ZERO,
        assignment: None,
    };
    let answers = vec![(request, Response::ShareHeartbeat(Ok(answer)))];
    session::remove(coordinator, &beat.group, &id, Told { answers, calls: Vec::new() });
    Ok(())
}
