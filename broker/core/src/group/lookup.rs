//! The group of a kind that is called so, and what is said where there is none.

use super::consumer::{self, Refusal};
use super::coordinator::Coordinator;
use super::{Error, share, streams};

impl Coordinator {
    /// The group of the consumer protocol called `id`.
    pub(super) fn consumer_group(&self, id: &str) -> Result<&consumer::group::Group, Refusal> {
        let message = match self.has_group(id) {
            true => format!("Group {id} is not a consumer group."),
            false => format!("Consumer group {id} not found."),
        };
        self.consumers.get(id).ok_or_else(|| Refusal::new(Error::GroupIdNotFound, message))
    }

    /// The share group called `id`.
    pub(super) fn share_group(&self, id: &str) -> Result<&share::group::Group, Refusal> {
        let message = match self.has_group(id) {
            true => format!("Group {id} is not a share group."),
            false => format!("Group {id} not found."),
        };
        self.shares.get(id).ok_or_else(|| Refusal::new(Error::GroupIdNotFound, message))
    }

    /// The streams group called `id`.
    pub(super) fn streams_group(&self, id: &str) -> Result<&streams::group::Group, Refusal> {
        let message = match self.has_group(id) {
            true => format!("Group {id} is not a streams group."),
            false => format!("Group {id} not found."),
        };
        self.streams.get(id).ok_or_else(|| Refusal::new(Error::GroupIdNotFound, message))
    }

    /// Whether there is a group called `id`, of whatever kind.
    pub(super) fn has_group(&self, id: &str) -> bool {
        self.groups.contains_key(id)
            || self.consumers.contains_key(id)
            || self.shares.contains_key(id)
            || self.streams.contains_key(id)
    }
}
