//! How many groups there are, for those who watch. Counted when it is asked, once a scrape; no request is slower for it.

use std::collections::BTreeMap;

use super::consumer::ConsumerGroupState;
use super::coordinator::Coordinator;
use super::request::{GroupKind, GroupState};
use super::share::ShareGroupState;
use super::streams::StreamsGroupState;

/// The groups of a coordinator, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    by_state: BTreeMap<(GroupKind, &'static str), u64>,
    /// Committed offsets.
    pub offsets: u64,
}

impl GroupCounts {
    /// Groups of `kind` in the state that Kafka calls `state`.
    pub fn in_state(&self, kind: GroupKind, state: &'static str) -> u64 {
        self.by_state.get(&(kind, state)).copied().unwrap_or(0)
    }

    /// All groups of `kind`.
    pub fn of(&self, kind: GroupKind) -> u64 {
        self.by_state.iter().filter(|((of, _), _)| *of == kind).map(|(_, count)| count).sum()
    }

    fn add(&mut self, kind: GroupKind, state: &'static str, count: u64) {
        *self.by_state.entry((kind, state)).or_default() += count;
    }
}

impl FromIterator<Self> for GroupCounts {
    fn from_iter<I: IntoIterator<Item = Self>>(all: I) -> Self {
        let mut sum = Self::default();
        for counts in all {
            counts.by_state.into_iter().for_each(|((kind, state), count)| sum.add(kind, state, count));
            sum.offsets += counts.offsets;
        }
        sum
    }
}

impl GroupKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Classic, Self::Consumer, Self::Share, Self::Streams];

    /// The names of the states that groups of the kind may be in.
    pub fn states(self) -> &'static [&'static str] {
        match self {
            Self::Classic => &GroupState::NAMES,
            Self::Consumer => &ConsumerGroupState::NAMES,
            Self::Share => &ShareGroupState::NAMES,
            Self::Streams => &StreamsGroupState::NAMES,
        }
    }
}

/// Counts the groups of `coordinator`.
pub(super) fn count(coordinator: &Coordinator) -> GroupCounts {
    let mut counts = GroupCounts { offsets: coordinator.offsets.len(), ..GroupCounts::default() };
    coordinator.groups.values().for_each(|group| counts.add(GroupKind::Classic, group.state().name(), 1));
    coordinator.consumers.values().for_each(|group| counts.add(GroupKind::Consumer, group.state().name(), 1));
    coordinator.shares.values().for_each(|group| counts.add(GroupKind::Share, group.state().name(), 1));
    coordinator.streams.values().for_each(|group| counts.add(GroupKind::Streams, group.state().name(), 1));
    counts
}
