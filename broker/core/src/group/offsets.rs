//! Committed offsets: commit, fetch, delete, and what makes them go away by themselves.
//!
//! An offset is seen once it is durable, in the order of the log; one that is not durable yet counts only where it
//! must not be overlooked (deletions, stable fetches).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::context::Then;
use super::coordinator::Coordinator;
use super::event::Response;
use super::offset_store::GroupOffsets;
use super::record::{GroupChange, OffsetChange, Record, StoredOffset};
use super::request::{
    Commit, Committed, DeleteOffsets, FetchOffsets, FetchedTopic, GroupState, PartitionCommit, PartitionResults,
};
use super::state::Group;
use super::timers::Timer;
use super::{Config, Error, admin, consumer, streams};
use crate::coordinator::{MAX_STRING, RequestId};
use crate::{Timestamp, TopicName};

/// Handles OffsetCommit: answered when the offsets are durable.
pub(super) fn commit(coordinator: &mut Coordinator, request: RequestId, commit: Commit) {
    if coordinator.shares.contains_key(commit.group.as_str()) {
        return coordinator.context.reply(request, Response::Commit(Err(Error::GroupIdNotFound)));
    }
    let Coordinator { groups, consumers, streams, context, .. } = coordinator;
    let id = commit.group.as_str();
    let (group, consumer, streams) = (groups.get(id), consumers.get(id), streams.get(id));
    let validated = match (consumer, streams) {
        (Some(group), _) => consumer::offsets::validate_commit(group, &commit),
        (None, Some(group)) => streams::offsets::validate_commit(group, &commit),
        (None, None) => validate_commit(group, &commit),
    };
    if let Err(error) = validated {
        return context.reply(request, Response::Commit(Err(error)));
    }
    if let Some(group) = group
        && matches!(group.state(), GroupState::Stable | GroupState::PreparingRebalance)
        && let Some(member) = group.member(&commit.member_id)
    {
        context.schedule_session(&group.id, &member.id, member.session_timeout);
    }
    let known = group.map(|group| &group.id).or(consumer.map(|group| &group.id)).or(streams.map(|group| &group.id));
    let group: Arc<str> = known.map_or_else(|| commit.group.as_str().into(), Arc::clone);
    let now = context.now.wall;
    let retention_ms = commit.retention.map(|retention| i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
    let expire_time = retention_ms.map(|ms| Timestamp(now.0.saturating_add(ms)));
    let mut records = Vec::new();
    let mut results = PartitionResults::new();
    for (topic, partitions) in commit.topics {
        let mut answers = Vec::with_capacity(partitions.len());
        for PartitionCommit { partition, offset, leader_epoch, metadata } in partitions {
            if is_too_long(&metadata, &context.config) {
                answers.push((partition, Err(Error::OffsetMetadataTooLarge)));
                continue;
            }
            answers.push((partition, Ok(())));
            let committed = Committed { offset, leader_epoch, metadata };
            let value = Some(StoredOffset { committed, commit_time: now, expire_time });
            records.push(Record::Offset(OffsetChange { group: group.clone(), topic: topic.clone(), partition, value }));
        }
        results.push((topic, answers));
    }
    if records.is_empty() {
        context.reply(request, Response::Commit(Ok(results)));
    } else {
        context.append_in(commit.transaction, &group, records, Then::Commit(request, results));
    }
}

fn validate_commit(group: Option<&Group>, commit: &Commit) -> Result<(), Error> {
    if commit.group.len() > MAX_STRING {
        return Err(Error::InvalidGroupId);
    }
    let Some(group) = group else {
        // A simple consumer, or a tool, commits without ever joining.
        return match commit.generation {
            ..0 => Ok(()),
            _ if commit.knows_consumer_protocol => Err(Error::GroupIdNotFound),
            _ => Err(Error::IllegalGeneration),
        };
    };
    if commit.generation < 0 && group.is(GroupState::Empty) {
        return Ok(());
    }
    if commit.generation < 0 && commit.member_id.is_empty() && commit.instance_id.is_none() {
        // Somebody outside the group must not move the offsets that its members work from. A transactional producer need
        // not say for whom it commits.
        return if commit.transaction.is_some() { Ok(()) } else { Err(Error::UnknownMemberId) };
    }
    group.validate_member(&commit.member_id, commit.instance_id.as_deref())?;
    if commit.generation != group.generation {
        return Err(Error::IllegalGeneration);
    }
    let is_between = commit.transaction.is_none() && group.is(GroupState::CompletingRebalance);
    if is_between { Err(Error::RebalanceInProgress) } else { Ok(()) }
}

/// Kafka counts UTF-16 units; a record bounds the bytes.
fn is_too_long(metadata: &str, config: &Config) -> bool {
    metadata.len() > MAX_STRING
        || metadata.len() > config.offset_metadata_max_bytes
            && metadata.encode_utf16().count() > config.offset_metadata_max_bytes
}

/// Handles OffsetFetch of one group.
pub(super) fn fetch(coordinator: &mut Coordinator, request: RequestId, mut fetch: FetchOffsets) {
    let id = fetch.group.as_str();
    let validated = consumer::offsets::validate_fetch(coordinator.consumers.get(id), &fetch);
    let validated = validated.and(streams::offsets::validate_fetch(coordinator.streams.get(id), &fetch));
    if let Err(error) = validated {
        return coordinator.context.reply(request, Response::FetchOffsets(Err(error)));
    }
    let Coordinator { offsets, context, transactions, .. } = coordinator;
    if fetch.require_stable {
        let Some(not_parked) = context.park_fetch(request, fetch) else { return };
        fetch = not_parked;
    }
    let stored = offsets.of(&fetch.group);
    let unstable = if fetch.require_stable { transactions.offsets_of(&fetch.group) } else { BTreeSet::new() };
    let committed = |topic: &TopicName, partition: i32| {
        if unstable.contains(&(topic, partition)) {
            return Err(Error::UnstableOffsetCommit);
        }
        let found = stored.and_then(|topics| topics.get(topic)?.get(&partition));
        Ok(found.map(|found| found.committed.clone()))
    };
    let topics = match fetch.topics {
        Some(topics) => topics
            .into_iter()
            .map(|(topic, partitions)| {
                let partitions = partitions.into_iter().map(|p| (p, committed(&topic, p))).collect();
                FetchedTopic { topic, partitions }
            })
            .collect(),
        None => {
            let mut all: BTreeMap<&TopicName, BTreeSet<i32>> = BTreeMap::new();
            for (topic, partition) in offsets.keys(&fetch.group).chain(unstable.iter().copied()) {
                all.entry(topic).or_default().insert(partition);
            }
            let topic = |(topic, partitions): (&TopicName, BTreeSet<i32>)| FetchedTopic {
                topic: topic.clone(),
                partitions: partitions.into_iter().map(|partition| (partition, committed(topic, partition))).collect(),
            };
            all.into_iter().map(topic).collect()
        }
    };
    context.reply(request, Response::FetchOffsets(Ok(topics)));
}

/// Handles OffsetDelete: not of topics that the group consumes just now.
pub(super) fn delete(coordinator: &mut Coordinator, request: RequestId, delete: DeleteOffsets) {
    let group = match deletable(coordinator, &delete.group) {
        Ok(group) => group.clone(),
        Err(error) => return coordinator.context.reply(request, Response::DeleteOffsets(Err(error))),
    };
    let existing = offset_keys(coordinator, &group);
    let Coordinator { groups, consumers, streams, .. } = &*coordinator;
    let (classic, consumer, streams) = (groups.get(&group), consumers.get(&group), streams.get(&group));
    let is_subscribed = |topic: &str| {
        classic.is_some_and(|group| group.is_subscribed(topic))
            || consumer.is_some_and(|group| group.is_subscribed(topic))
            || streams.is_some_and(|group| group.is_subscribed(topic))
    };
    let mut doomed = Vec::new();
    let mut results = PartitionResults::new();
    for (topic, partitions) in delete.topics {
        let answer = if is_subscribed(topic.as_str()) { Err(Error::GroupSubscribedToTopic) } else { Ok(()) };
        if answer.is_ok() {
            doomed.extend(partitions.iter().map(|p| (topic.clone(), *p)).filter(|key| existing.contains(key)));
        }
        results.push((topic, partitions.into_iter().map(|partition| (partition, answer)).collect()));
    }
    if doomed.is_empty() {
        coordinator.context.reply(request, Response::DeleteOffsets(Ok(results)));
    } else {
        coordinator.context.append(&group, tombstones(&group, doomed), Then::DeleteOffsets(request, results));
    }
}

fn deletable<'a>(coordinator: &'a Coordinator, group: &str) -> Result<&'a Arc<str>, Error> {
    if group.is_empty() {
        return Err(Error::InvalidGroupId);
    }
    if let Some(group) = coordinator.consumers.get(group) {
        return Ok(&group.id);
    }
    if let Some(group) = coordinator.streams.get(group) {
        return Ok(&group.id);
    }
    let group = coordinator.groups.get(group).ok_or(Error::GroupIdNotFound)?;
    // Of other members' subscriptions nothing is known.
    if !group.is(GroupState::Empty) && !group.is_of_consumers() {
        return Err(Error::NonEmptyGroup);
    }
    Ok(&group.id)
}

/// The partitions with a committed offset, durable, on its way, or waiting for the end of a transaction.
pub(super) fn offset_keys(coordinator: &Coordinator, group: &Arc<str>) -> BTreeSet<(TopicName, i32)> {
    let stored = coordinator.offsets.keys(group).chain(coordinator.transactions.offsets_of(group));
    let mut keys: BTreeSet<_> = stored.map(|(topic, partition)| (topic.clone(), partition)).collect();
    let appends = coordinator.context.in_flight.values().filter(|append| append.group == *group);
    keys.extend(appends.flat_map(|append| &append.offsets).map(|change| (change.topic.clone(), change.partition)));
    keys
}

/// Records that delete offsets.
pub(super) fn tombstones(group: &Arc<str>, keys: impl IntoIterator<Item = (TopicName, i32)>) -> Vec<Record> {
    let tombstone =
        |(topic, partition)| Record::Offset(OffsetChange { group: group.clone(), topic, partition, value: None });
    keys.into_iter().map(tombstone).collect()
}

/// Deletes the offsets of deleted topics.
pub(super) fn topics_deleted(coordinator: &mut Coordinator, topics: &[TopicName]) {
    let in_flight = coordinator.context.in_flight.values().filter(|append| !append.offsets.is_empty());
    let on_their_way = in_flight.map(|append| &append.group);
    let waiting = coordinator.transactions.changes().map(|change| &change.group);
    let groups: BTreeSet<Arc<str>> = coordinator.offsets.groups().chain(on_their_way).chain(waiting).cloned().collect();
    for group in groups {
        let mut keys = offset_keys(coordinator, &group);
        keys.retain(|(topic, _)| topics.contains(topic));
        if !keys.is_empty() {
            coordinator.context.append(&group, tombstones(&group, keys), Then::Nothing);
        }
    }
}

/// Deletes offsets past their retention, and groups that are empty and have none left.
pub(super) fn expire(coordinator: &mut Coordinator) {
    let interval = coordinator.context.config.offsets_retention_check_interval;
    coordinator.context.schedule(Timer::Retention, interval);
    let Coordinator { groups, consumers, streams, offsets, context, transactions, .. } = coordinator;
    for group in groups.values() {
        // What is on its way may be a newer commit: look again next time.
        if context.has_in_flight(&group.id) || transactions.has_offsets_of(&group.id) {
            continue;
        }
        let retention = Retention::of(group, &context.config);
        let is_subscribed = |topic: &str| group.is_subscribed(topic);
        let expired = expired_offsets(offsets.of(&group.id), retention, is_subscribed, context.now.wall);
        let all_expired = expired.len() == offsets.keys(&group.id).count();
        let mut records = tombstones(&group.id, expired);
        if all_expired && group.is_deserted() {
            records.push(Record::Group(GroupChange { group: group.id.clone(), value: None }));
        }
        if !records.is_empty() {
            context.append(&group.id, records, Then::Nothing);
        }
    }
    let mut expire = |id: &Arc<str>, is_subscribed: &dyn Fn(&str) -> bool, tombstones_of_empty: Option<Vec<Record>>| {
        if context.has_in_flight(id) || transactions.has_offsets_of(id) {
            return;
        }
        let retention = Some(Retention { from: None, length: context.config.offsets_retention });
        let expired = expired_offsets(offsets.of(id), retention, is_subscribed, context.now.wall);
        let all_expired = expired.len() == offsets.keys(id).count();
        let mut records = tombstones(id, expired);
        records.extend(tombstones_of_empty.filter(|_| all_expired).into_iter().flatten());
        context.append_and_answer(id, records, []);
    };
    for group in consumers.values() {
        let tombstones = group.is_empty().then(|| admin::consumer_tombstones(group));
        expire(&group.id, &|topic| group.is_subscribed(topic), tombstones);
    }
    for group in streams.values() {
        let tombstones = group.is_empty().then(|| admin::streams_tombstones(group));
        expire(&group.id, &|topic| group.is_subscribed(topic), tombstones);
    }
}

/// From when offsets are kept for how long (KIP-211).
struct Retention {
    /// Since the group has been empty; none: since each was committed.
    from: Option<Timestamp>,
    length: Duration,
}

impl Retention {
    /// It runs from when the group became empty; for simple consumers, and for topics that a live group no longer
    /// consumes, from the last commit. None while nothing may expire.
    fn of(group: &Group, config: &Config) -> Option<Self> {
        let from = match (&group.protocol_type, group.state()) {
            (None, _) => None,
            (Some(_), GroupState::Empty) => Some(group.state_since).filter(|since| *since != Timestamp::NONE),
            (Some(_), GroupState::Stable) if group.knows_subscription() => None,
            (Some(_), _) => return None,
        };
        Some(Self { from, length: config.offsets_retention })
    }

    fn is_over(&self, stored: &StoredOffset, now: Timestamp) -> bool {
        let length = i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX);
        let from = self.from.unwrap_or(stored.commit_time);
        now >= stored.expire_time.unwrap_or(Timestamp(from.0.saturating_add(length)))
    }
}

/// The offsets whose retention is over, but for topics that are consumed.
fn expired_offsets(
    offsets: Option<&GroupOffsets>,
    retention: Option<Retention>,
    is_subscribed: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Vec<(TopicName, i32)> {
    let Some(retention) = retention else { return Vec::new() };
    let mut expired = Vec::new();
    for (topic, partitions) in offsets.into_iter().flatten().filter(|(topic, _)| !is_subscribed(topic.as_str())) {
        let partitions = partitions.iter().filter(|(_, stored)| retention.is_over(stored, now));
        expired.extend(partitions.map(|(partition, _)| (topic.clone(), *partition)));
    }
    expired
}
