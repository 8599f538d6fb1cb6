//! What administrators ask: list, describe and delete groups.

use std::sync::Arc;

use super::consumer::{self, DescribedConsumerGroup, Refusal, describe};
use super::context::Then;
use super::coordinator::Coordinator;
use super::event::Response;
use super::record::{GroupChange, Record};
use super::request::{Described, GroupKind, GroupState, ListFilter, Listed};
use super::share::DescribedShareGroup;
use super::streams::DescribedStreamsGroup;
use super::subscription::CONSUMER;
use super::{Error, offsets, share, streams};
use crate::coordinator::RequestId;

/// Handles ListGroups.
pub(super) fn list(coordinator: &Coordinator, filter: &ListFilter) -> Vec<Listed> {
    let classic = coordinator.groups.values().map(|group| Listed {
        group: group.id.to_string(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        state: group.state().name(),
        kind: GroupKind::Classic,
    });
    let consumers = coordinator.consumers.values().map(|group| Listed {
        group: group.id.to_string(),
        protocol_type: CONSUMER.to_owned(),
        state: group.state().name(),
        kind: GroupKind::Consumer,
    });
    let shares = coordinator.shares.values().map(|group| Listed {
        group: group.id.to_string(),
        protocol_type: GroupKind::Share.name().to_owned(),
        state: group.state().name(),
        kind: GroupKind::Share,
    });
    let streams = coordinator.streams.values().map(|group| Listed {
        group: group.id.to_string(),
        protocol_type: GroupKind::Streams.name().to_owned(),
        state: group.state().name(),
        kind: GroupKind::Streams,
    });
    let passes = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n.eq_ignore_ascii_case(name));
    let is_wanted = |group: &Listed| passes(&filter.types, group.kind.name()) && passes(&filter.states, group.state);
    classic.chain(consumers).chain(shares).chain(streams).filter(is_wanted).collect()
}

/// Handles ConsumerGroupDescribe for one group.
pub(super) fn describe_consumer(coordinator: &Coordinator, id: &str) -> Result<DescribedConsumerGroup, Refusal> {
    let context = &coordinator.context;
    match coordinator.consumers.get(id) {
        Some(group) => Ok(describe::describe(group, &context.config.consumer, context.image.topics())),
        None if coordinator.has_group(id) => {
            Err(Refusal::new(Error::GroupIdNotFound, format!("Group {id} is not a consumer group.")))
        }
        None => Err(Refusal::new(Error::GroupIdNotFound, format!("Group {id} not found."))),
    }
}

/// Handles ShareGroupDescribe for one group.
pub(super) fn describe_share(coordinator: &Coordinator, id: &str) -> Result<DescribedShareGroup, Refusal> {
    let group = coordinator.share_group(id)?;
    Ok(share::describe::describe(group, coordinator.context.image.topics()))
}

/// Handles StreamsGroupDescribe for one group.
pub(super) fn describe_streams(coordinator: &Coordinator, id: &str) -> Result<DescribedStreamsGroup, Refusal> {
    coordinator.streams_group(id).map(streams::describe::describe)
}

/// Handles DescribeGroups for one group.
pub(super) fn describe(coordinator: &Coordinator, id: &str) -> Result<Described, Refusal> {
    let Some(group) = coordinator.groups.get(id) else {
        let what = if coordinator.has_group(id) { "is not a classic group" } else { "not found" };
        return Err(Refusal::new(Error::GroupIdNotFound, format!("Group {id} {what}.")));
    };
    // Between generations what members say belongs to no protocol yet.
    let protocol = group.protocol.as_deref().filter(|_| group.is(GroupState::Stable));
    Ok(Described {
        state: group.state(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol: protocol.unwrap_or_default().to_owned(),
        members: group.members().map(|member| member.to_described(protocol)).collect(),
    })
}

/// Handles DeleteGroups for one group: its offsets go with it, and before it the states of a share group. Answered when
/// durable.
pub(super) fn delete(coordinator: &mut Coordinator, request: RequestId, group: &str) {
    match share::offsets::delete_all(coordinator, request, group) {
        Ok(false) => {}
        Ok(true) => return,
        Err(error) => return coordinator.context.reply(request, Response::Delete(Err(error))),
    }
    let (group, records) = match deletion(coordinator, group) {
        Ok(found) => found,
        Err(error) => return coordinator.context.reply(request, Response::Delete(Err(error))),
    };
    let keys = offsets::offset_keys(coordinator, &group);
    let mut all = offsets::tombstones(&group, keys);
    all.extend(records);
    coordinator.context.append(&group, all, Then::Delete(request));
}

/// The group called `id` with the records that delete it, but for its offsets.
fn deletion(coordinator: &Coordinator, id: &str) -> Result<(Arc<str>, Vec<Record>), Error> {
    if let Some(group) = coordinator.consumers.get(id) {
        let is_empty = group.is_empty();
        return is_empty.then(|| (Arc::clone(&group.id), consumer_tombstones(group))).ok_or(Error::NonEmptyGroup);
    }
    if let Some(group) = coordinator.streams.get(id) {
        let is_empty = group.is_empty();
        return is_empty.then(|| (Arc::clone(&group.id), streams_tombstones(group))).ok_or(Error::NonEmptyGroup);
    }
    if let Some(group) = coordinator.shares.get(id) {
        return Ok((Arc::clone(&group.id), share::of_group(&group.id, group.tombstones()).collect()));
    }
    let group = coordinator.groups.get(id).ok_or(Error::GroupIdNotFound)?;
    if !group.is(GroupState::Empty) {
        return Err(Error::NonEmptyGroup);
    }
    Ok((group.id.clone(), vec![Record::Group(GroupChange { group: group.id.clone(), value: None })]))
}

/// The records that delete a group of the consumer protocol.
pub(super) fn consumer_tombstones(group: &consumer::group::Group) -> Vec<Record> {
    consumer::of_group(&group.id, group.tombstones()).collect()
}

/// The records that delete a streams group.
pub(super) fn streams_tombstones(group: &streams::group::Group) -> Vec<Record> {
    streams::of_group(&group.id, group.tombstones()).collect()
}
