//! The assignors that the coordinator itself has (KIP-848): who is to have what. Pure; the answer depends on nothing
//! but the question.

mod balance;
mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Partitions;
use crate::TopicId;

/// An assignor of the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// Shares that differ by one partition at most, and as few moves as that takes.
    Uniform,
    /// Of each topic a range of partitions, in the order of the members, so that equal topics are divided alike.
    Range,
}

impl Assignor {
    /// The name in Kafka's configuration and protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// Who is to have what. Every partition of a topic that somebody subscribes to has exactly one owner, who subscribes
    /// to it; every member is in the answer.
    pub(crate) fn assign(self, question: &Question<'_>) -> BTreeMap<Arc<str>, Partitions> {
        match self {
            Self::Uniform if question.is_homogeneous() => uniform::assign(question),
            Self::Uniform => balance::assign(question),
            Self::Range => range::assign(question),
        }
    }
}

/// Members and topics to bring together.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// In the order of their ids.
    pub(crate) members: Vec<Subscriber<'a>>,
    /// How many partitions each topic has; all of them are subscribed to, and only these exist.
    pub(crate) topics: BTreeMap<TopicId, i32>,
}

/// A member as assignors see it.
#[derive(Debug)]
pub(crate) struct Subscriber<'a> {
    pub(crate) id: &'a Arc<str>,
    pub(crate) instance_id: Option<&'a str>,
    /// The topics that it subscribes to and that exist.
    pub(crate) topics: Arc<BTreeSet<TopicId>>,
    /// What it was to have so far.
    pub(crate) target: &'a Partitions,
}

impl Question<'_> {
    /// Whether all members subscribe to the same topics.
    fn is_homogeneous(&self) -> bool {
        self.members.windows(2).all(|pair| pair[0].topics == pair[1].topics)
    }

    /// Every partition.
    fn partitions(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.topics.iter().flat_map(|(topic, count)| (0..*count).map(|partition| (*topic, partition)))
    }

    /// Whether the member may have the partition.
    fn fits(&self, member: &Subscriber<'_>, topic: TopicId, partition: i32) -> bool {
        member.topics.contains(&topic) && self.topics.get(&topic).is_some_and(|count| partition < *count)
    }
}

#[cfg(test)]
pub(super) mod tests;
