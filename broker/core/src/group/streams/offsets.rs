//! Who may commit and fetch offsets of a streams group (KIP-1071): its members, in their epoch, or in the one in which
//! they got the task.

use std::sync::Arc;

use super::group::Group;
use super::member::Member;
use crate::group::{Commit, Error, FetchOffsets};

/// Whether the offsets may be committed.
pub(crate) fn validate_commit(group: &Group, commit: &Commit) -> Result<(), Error> {
    // A tool or a simple consumer, while nobody works from the offsets.
    if commit.generation < 0 && group.is_empty() {
        return Ok(());
    }
    let is_nameless = commit.generation < 0 && commit.member_id.is_empty() && commit.instance_id.is_none();
    if is_nameless && commit.transaction.is_some() {
        // A transactional producer need not say for whom it commits.
        return Ok(());
    }
    let member = group.member(&commit.member_id).ok_or(Error::UnknownMemberId)?;
    if commit.transaction.is_none() && !commit.knows_consumer_protocol {
        return Err(Error::UnsupportedVersion);
    }
    if commit.generation == member.current.epoch {
        return Ok(());
    }
    // A member that does not know of its new epoch yet still works on what it had before.
    let partitions = commit
        .topics
        .iter()
        .flat_map(|(topic, partitions)| partitions.iter().map(|commit| (topic.as_str(), commit.partition)));
    let mut since = partitions.map(|(topic, partition)| had_since(group, member, topic, partition));
    let is_older = commit.generation < member.current.epoch;
    let has_all = is_older && since.all(|since| since.is_some_and(|since| since <= commit.generation));
    has_all.then_some(()).ok_or(Error::StaleMemberEpoch)
}

/// The epoch since which the member has the task that reads the partition.
fn had_since(group: &Group, member: &Member, topic: &str, partition: i32) -> Option<i32> {
    let reader = group.topology.as_ref()?.reader_of(topic)?;
    member.current.since.get(&(Arc::clone(&reader.id), partition)).copied()
}

/// Whether the offsets may be fetched; anybody may who does not say that it is a member.
pub(crate) fn validate_fetch(group: Option<&Group>, fetch: &FetchOffsets) -> Result<(), Error> {
    let (Some(group), Some((id, epoch))) = (group, &fetch.member) else { return Ok(()) };
    let member = group.member(id).ok_or(Error::UnknownMemberId)?;
    if member.current.epoch == *epoch { Ok(()) } else { Err(Error::StaleMemberEpoch) }
}
