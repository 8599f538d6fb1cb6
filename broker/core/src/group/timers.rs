//! What the alarms of the group coordinator are for.

use crate::coordinator::AppendId;
use std::sync::Arc;

/// What an alarm is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// The join phase of a group ends.
    Join(Arc<str>),
    /// Members of a group that have not sent SyncGroup are given up.
    Sync(Arc<str>),
    /// The session of a member (or of one that was only given an id) ends: group, member.
    Session(Arc<str>, Arc<str>),
    /// A streams group has waited long enough for more members after its first.
    Assign(Arc<str>),
    /// A member of the consumer protocol or of a streams group has not given up in time what it has to: group, member.
    Revocation(Arc<str>, Arc<str>),
    /// A member of the classic protocol in a group of the consumer protocol has not joined again in time.
    Rejoin(Arc<str>, Arc<str>),
    /// The same, has not sent SyncGroup in time.
    Resync(Arc<str>, Arc<str>),
    /// A group of a kind to whose members the coordinator assigns may have new targets.
    Assignment(Arc<str>),
    /// Answers no longer wait for an append.
    Append(AppendId),
    /// Old offsets and empty groups are looked for.
    Retention,
}
