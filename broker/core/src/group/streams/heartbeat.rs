//! StreamsGroupHeartbeat: joins, keeps alive, reconciles, leaves (KIP-1071).

use std::sync::Arc;

use super::check::check;
use super::endpoints::endpoints;
use super::group::{Change, Group};
use super::member::{Current, Member, Profile};
use super::plan::{Plan, plan};
use super::request::{StatusCode, StreamsBeat, StreamsHeartbeat, StreamsStatus};
use super::step::{Step, wait_for_targets};
use super::tasks::{TaskSets, Tasks};
use super::{session, write};
use crate::coordinator::RequestId;
use crate::group::consumer::retire;
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::record::{GroupChange, Record};
use crate::group::timers::Timer;
use crate::group::{Error, GroupState, JOIN, LEAVE, Refusal, Response};

/// A heartbeat, and what it says that the member owns.
type Said<'a> = (&'a StreamsHeartbeat, Option<&'a TaskSets>);

/// Handles StreamsGroupHeartbeat: answered when what it changed is durable, and all that was changed before it.
pub(crate) fn heartbeat(coordinator: &mut Coordinator, request: RequestId, beat: &StreamsHeartbeat) {
    let handled = check(beat).and_then(|()| match beat.member_epoch {
        LEAVE => leave(coordinator, request, beat),
        _ => stay(coordinator, request, beat),
    });
    if let Err(refusal) = handled {
        coordinator.context.reply(request, Response::StreamsHeartbeat(Err(refusal)));
    }
}

/// A member joins, or goes on.
fn stay(coordinator: &mut Coordinator, request: RequestId, beat: &StreamsHeartbeat) -> Result<(), Refusal> {
    check_kind(coordinator, beat)?;
    let owned = owned(beat);
    let new = Group::new(beat.group.as_str().into());
    let group = coordinator.streams.get(beat.group.as_str()).unwrap_or(&new);
    admit(group, beat, owned.as_ref(), coordinator.context.config.streams.max_size)?;
    let plan = plan(group, beat, owned.as_ref(), coordinator.context.image.topics())?;

    let id: Arc<str> = beat.member_id.as_str().into();
    let records = replace_classic(coordinator, &beat.group);
    let Coordinator { streams, context, .. } = coordinator;
    let group = streams.entry(Arc::clone(&new.id)).or_insert(new);
    let mut statuses = stale_topology(group, beat, &id);
    let before = group.member(&id).map(|member| member.current.clone()).unwrap_or_default();
    let changes = advance(group, context, (beat, owned.as_ref()), &id, plan, &mut statuses);
    session::begin(context, group, &id);
    if group.member(&id).is_none_or(|member| member.current != before) {
        session::watch_revocation(context, group, &id);
    }
    let answer = answer(group, context, (beat, owned.as_ref()), &id, &before, statuses);
    write(context, group, records, changes, [(request, Response::StreamsHeartbeat(Ok(answer)))]);
    Ok(())
}

/// What the member says it owns, if it says; one that joins owns nothing.
fn owned(beat: &StreamsHeartbeat) -> Option<TaskSets> {
    let said = |tasks: &Option<Tasks>| tasks.clone();
    Some(TaskSets { active: said(&beat.active)?, standby: said(&beat.standby)?, warmup: said(&beat.warmup)? })
}

/// Whether the group is one of streams, or may become one.
fn check_kind(coordinator: &Coordinator, beat: &StreamsHeartbeat) -> Result<(), Refusal> {
    let id = beat.group.as_str();
    if coordinator.streams.contains_key(id) {
        return Ok(());
    }
    let is_joining = beat.member_epoch == JOIN;
    let message = match coordinator.groups.get(id) {
        Some(classic) if is_joining && classic.is(GroupState::Empty) => return Ok(()),
        None if !coordinator.has_group(id) && is_joining => return Ok(()),
        None if !coordinator.has_group(id) => format!("Streams group {id} not found."),
        _ => format!("Group {id} is not a streams group."),
    };
    Err(Refusal::new(Error::GroupIdNotFound, message))
}

/// Takes away an empty classic group of that name; gives the record that does so. Its offsets stay.
fn replace_classic(coordinator: &mut Coordinator, id: &str) -> Vec<Record> {
    let Some(classic) = coordinator.groups.get(id) else { return Vec::new() };
    let id = Arc::clone(&classic.id);
    retire(coordinator, &id);
    vec![Record::Group(GroupChange { group: id, value: None })]
}

/// Whether the member may join or go on.
fn admit(group: &Group, beat: &StreamsHeartbeat, owned: Option<&TaskSets>, max_size: usize) -> Result<(), Refusal> {
    match group.member(&beat.member_id) {
        Some(member) => check_epoch(member, beat.member_epoch, owned),
        None if beat.member_epoch != JOIN => Err(unknown(beat)),
        None if group.members().len() >= max_size => {
            let message = format!("The streams group has reached its maximum capacity of {max_size} members.");
            Err(Refusal::new(Error::GroupMaxSizeReached, message))
        }
        None => Ok(()),
    }
}

fn unknown(beat: &StreamsHeartbeat) -> Refusal {
    let message = format!("Member {} is not a member of group {}.", beat.member_id, beat.group);
    Refusal::new(Error::UnknownMemberId, message)
}

/// A member goes on from its epoch, or from the one before if the answer with the new one may have been lost.
fn check_epoch(member: &Member, said: i32, owned: Option<&TaskSets>) -> Result<(), Refusal> {
    let current = &member.current;
    let is_repeated = said == current.previous_epoch && owned.is_some_and(|owned| owned.is_subset(&current.assigned));
    if said == JOIN || said == current.epoch || said < current.epoch && is_repeated {
        return Ok(());
    }
    let order = if said > current.epoch { "greater" } else { "smaller" };
    let message = format!(
        "The streams group member has a {order} member epoch ({said}) than the one known by the group coordinator ({}). The member must abandon all its partitions and rejoin.",
        current.epoch
    );
    Err(Refusal::new(Error::FencedMemberEpoch, message))
}

fn stale_topology(group: &Group, beat: &StreamsHeartbeat, id: &str) -> Vec<StreamsStatus> {
    let known = group.member(id).map(|member| member.profile.topology_epoch);
    let said = beat.topology.as_ref().map(|topology| topology.epoch).or(known);
    let (Some(said), Some(topology)) = (said, &group.topology) else { return Vec::new() };
    if said >= topology.epoch {
        return Vec::new();
    }
    let detail = format!("The member's topology epoch {said} is behind the group's topology epoch {}.", topology.epoch);
    vec![StreamsStatus { code: StatusCode::StaleTopology, detail }]
}

/// Makes of the group what the heartbeat of an admitted member makes of it.
fn advance(
    group: &mut Group,
    context: &mut Context,
    (beat, owned): Said<'_>,
    id: &Arc<str>,
    plan: Plan,
    statuses: &mut Vec<StreamsStatus>,
) -> Vec<Change> {
    let was_empty = group.is_empty();
    group.is_stale = false;
    if let Some(configured) = plan.configured {
        group.configured = Some(configured);
    }
    let mut step = Step::new(group);
    let before = step.group.member(id).map(|member| member.profile.clone());
    let mut changed = step.put_profile(id, profile(before, beat));
    if let Some(topology) = plan.topology {
        step.put(Change::Topology(Some(topology)));
        changed = true;
    }
    let standbys = context.config.streams.num_standby_replicas_of(&step.group.id, &context.image);
    step.refresh(changed, plan.metadata_hash, standbys);
    if was_empty {
        begin_delay(context, step.group);
    }
    match delay(context, step.group) {
        Some(detail) => {
            statuses.push(StreamsStatus { code: StatusCode::AssignmentDelayed, detail: detail.to_owned() });
        }
        None => step.assign(context.now.wall),
    }
    step.reconcile(id, owned);
    step.into_changes()
}

/// What the member says of itself now.
fn profile(before: Option<Profile>, beat: &StreamsHeartbeat) -> Profile {
    let before = before.unwrap_or_default();
    Profile {
        instance_id: before.instance_id,
        rack_id: beat.rack_id.clone().or(before.rack_id),
        client_id: beat.client_id.clone(),
        client_host: beat.client_host.clone(),
        rebalance_timeout: beat.rebalance_timeout.unwrap_or(before.rebalance_timeout),
        topology_epoch: beat.topology.as_ref().map_or(before.topology_epoch, |topology| topology.epoch),
        process_id: beat.process_id.clone().unwrap_or(before.process_id),
        user_endpoint: beat.user_endpoint.clone().or(before.user_endpoint),
        client_tags: beat.client_tags.clone().unwrap_or(before.client_tags),
    }
}

/// A group that had no members waits for more before tasks are assigned.
fn begin_delay(context: &mut Context, group: &Group) {
    let delay = context.config.streams.initial_rebalance_delay_of(&group.id, &context.image);
    let timer = Timer::Assign(Arc::clone(&group.id));
    if !delay.is_zero() && !context.timers.is_set(&timer) {
        context.schedule(timer, delay);
    }
}

/// Why tasks are not assigned yet, if there are any to assign. They are when the time for it has come.
fn delay(context: &mut Context, group: &Group) -> Option<&'static str> {
    if context.timers.is_set(&Timer::Assign(Arc::clone(&group.id))) {
        return Some("Assignment delayed due to the configured initial rebalance delay.");
    }
    let wait = wait_for_targets(group, context)?;
    context.schedule(Timer::Assignment(Arc::clone(&group.id)), wait);
    Some("Assignment delayed due to the configured assignment interval.")
}

fn answer(
    group: &mut Group,
    context: &Context,
    (beat, owned): Said<'_>,
    id: &Arc<str>,
    before: &Current,
    mut statuses: Vec<StreamsStatus>,
) -> StreamsBeat {
    let none = Member::default();
    let member = group.member(id).unwrap_or(&none);
    let Current { epoch, assigned, .. } = member.current.clone();
    let is_changed = beat.member_epoch == JOIN || assigned != before.assigned;
    // The answer with what it has now may have been lost.
    let is_behind = beat.member_epoch != before.epoch || owned.is_some_and(|owned| *owned != assigned);
    if is_changed && member.profile.user_endpoint.is_some() {
        group.endpoint_epoch = group.endpoint_epoch.wrapping_add(1);
    }
    if beat.shuts_down {
        group.shut_down(id);
    }
    statuses.extend(group.configured.iter().filter_map(|configured| configured.problem.clone()));
    statuses.extend(group.shut_down_by().map(|by| StreamsStatus {
        code: StatusCode::ShutdownApplication,
        detail: format!(
            "Streams group member {by} encountered a fatal error and requested a shutdown for the entire application."
        ),
    }));
    let is_news = group.endpoint_epoch != beat.endpoint_epoch;
    StreamsBeat {
        member_id: id.to_string(),
        member_epoch: epoch,
        heartbeat_interval: context.config.streams.heartbeat_interval_of(&group.id, &context.image),
        statuses,
        assignment: (is_changed || is_behind).then_some(assigned),
        endpoint_epoch: group.endpoint_epoch,
        endpoints: is_news.then(|| endpoints(group, id, context.image.topics())),
        internal_topics: group.configured.iter().flat_map(|configured| configured.missing.clone()).collect(),
    }
}

/// A member goes.
fn leave(coordinator: &mut Coordinator, request: RequestId, beat: &StreamsHeartbeat) -> Result<(), Refusal> {
    let group = coordinator.streams_group(&beat.group)?;
    let (id, _) = group.member_entry(&beat.member_id).ok_or_else(|| unknown(beat))?;
    let id = Arc::clone(id);
    if let Some(group) = coordinator.streams.get_mut(beat.group.as_str()).filter(|_| beat.shuts_down) {
        group.shut_down(&id);
    }
    let answer =
        StreamsBeat { member_id: beat.member_id.clone(), member_epoch: beat.member_epoch, ..StreamsBeat::default() };
    let answer = (request, Response::StreamsHeartbeat(Ok(answer)));
    session::remove(coordinator, &beat.group, &id, Some(answer));
    Ok(())
}
