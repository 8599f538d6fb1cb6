//! A member of a group of the consumer protocol.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Partitions;
use crate::group::Protocol;

/// The most bytes of topics and protocols that a member may name, and of topics that the record of a pattern holds: with
/// the texts that are bounded by themselves, a record stays within what one append may have.
pub(crate) const MAX_SAID: usize = 512 << 10;
/// What lengths and tagged fields add to a name, at most.
const OVERHEAD: usize = 8;

/// What a member says of itself, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    /// Topics that it subscribes to by name.
    pub(crate) topics: BTreeSet<String>,
    /// The pattern that it subscribes to.
    pub(crate) regex: Option<String>,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) assignor: Option<String>,
    /// Set for one that uses the classic protocol.
    pub(crate) classic: Option<ClassicProfile>,
}

impl Profile {
    /// Whether its record is small enough to be stored: the topics that it names and the protocols that it follows are
    /// the only part without a bound of their own.
    pub(crate) fn is_storable(&self) -> bool {
        let protocols = self.classic.iter().flat_map(|classic| &classic.protocols);
        let protocols: usize = protocols.map(|protocol| protocol.name.len() + protocol.metadata.len() + OVERHEAD).sum();
        size_of_names(&self.topics) + protocols <= MAX_SAID
    }
}

/// The bytes that names take up in a record, at most.
pub(crate) fn size_of_names<'a>(names: impl IntoIterator<Item = &'a String>) -> usize {
    names.into_iter().map(|name| name.len() + OVERHEAD).sum()
}

/// What a member of the classic protocol says besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassicProfile {
    pub(crate) session_timeout: Duration,
    /// The protocols that it can follow, the one it likes best first.
    pub(crate) protocols: Vec<Protocol>,
}

/// How far a member has come towards its target; numbered as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has its target of its epoch.
    #[default]
    Stable = 0,
    /// It has to give partitions up first.
    UnrevokedPartitions = 1,
    /// It waits for partitions that others have to give up.
    UnreleasedPartitions = 2,
    /// A release to come stored something else: the member begins anew.
    Unknown = 127,
}

impl Progress {
    pub(crate) fn from_number(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// Where a member stands, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) epoch: i32,
    /// The epoch before, which the member goes on with when the answer with the new one was lost.
    pub(crate) previous_epoch: i32,
    pub(crate) progress: Progress,
    /// What it may consume.
    pub(crate) assigned: Partitions,
    /// What it has to give up, and still owns until it says that it does not.
    pub(crate) revoking: Partitions,
}

impl Current {
    /// Whether it has what it is to have in `target_epoch`.
    pub(crate) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == target_epoch
    }

    /// The same in another epoch; the one before is remembered when it differs.
    pub(crate) fn in_epoch(&self, epoch: i32) -> Self {
        let previous_epoch = if epoch == self.epoch { self.previous_epoch } else { self.epoch };
        Self { epoch, previous_epoch, ..self.clone() }
    }
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) profile: Profile,
    pub(crate) current: Current,
    /// What it is to have.
    pub(crate) target: Partitions,
}

impl Member {
    pub(crate) fn is_classic(&self) -> bool {
        self.profile.classic.is_some()
    }
}
