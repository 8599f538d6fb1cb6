//! Who may commit and fetch offsets of a group of the consumer protocol (KIP-848): its members, in their epoch.

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
    if commit.transaction.is_none() && !member.is_classic() && !commit.knows_consumer_protocol {
        return Err(Error::UnsupportedVersion);
    }
    check_epoch(member, commit.generation)
}

/// Whether the offsets may be fetched; anybody may who does not say that it is a member.
pub(crate) fn validate_fetch(group: Option<&Group>, fetch: &FetchOffsets) -> Result<(), Error> {
    let (Some(group), Some((id, epoch))) = (group, &fetch.member) else { return Ok(()) };
    check_epoch(group.member(id).ok_or(Error::UnknownMemberId)?, *epoch)
}

fn check_epoch(member: &Member, said: i32) -> Result<(), Error> {
    if said == member.current.epoch {
        Ok(())
    } else if member.is_classic() {
        Err(Error::IllegalGeneration)
    } else {
        Err(Error::StaleMemberEpoch)
    }
}
