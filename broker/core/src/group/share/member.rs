//! A member of a share group.

use std::collections::BTreeSet;

use crate::group::Partitions;

/// What a member says of itself, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    /// Topics that it subscribes to.
    pub(crate) topics: BTreeSet<String>,
}

/// Where a member stands, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) epoch: i32,
    /// The epoch before, which the member goes on with when the answer with the new one was lost.
    pub(crate) previous_epoch: i32,
    /// What it may consume.
    pub(crate) assigned: Partitions,
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) profile: Profile,
    pub(crate) current: Current,
    /// What it is to have.
    pub(crate) target: Partitions,
}
