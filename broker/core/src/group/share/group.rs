//! A share group: what its records say. It changes only by [`Group::apply`], alike when a rule decides and when the log
//! is replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::member::{Current, Member, Profile};
use super::request::ShareGroupState;
use super::states::States;
use crate::group::Partitions;
use crate::group::assigned::Assigned;
use crate::group::consumer::topics::changed_topics;
use crate::metadata::Topics;

/// A change of a group; each is one record. None deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The group's epoch, with the hash of the topics that it was begun for; none deletes the group.
    Epoch(Option<(i32, i64)>),
    /// What a member says of itself; none removes the member.
    Member(Arc<str>, Option<Profile>),
    /// The group epoch that the targets are for, and when they were made.
    AssignmentEpoch(Option<Assigned>),
    /// What a member is to have.
    Target(Arc<str>, Option<Partitions>),
    /// Where a member stands.
    Current(Arc<str>, Option<Current>),
    /// Which partitions have a state.
    States(Option<States>),
}

impl Change {
    /// Whether it only deletes, so that it makes nothing that was not there.
    pub(crate) fn is_deletion(&self) -> bool {
        match self {
            Self::Epoch(value) => value.is_none(),
            Self::Member(_, value) => value.is_none(),
            Self::AssignmentEpoch(value) => value.is_none(),
            Self::Target(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
            Self::States(value) => value.is_none(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: Arc<str>,
    pub(crate) epoch: i32,
    pub(crate) metadata_hash: i64,
    pub(crate) assigned: Assigned,
    members: BTreeMap<Arc<str>, Member>,
    pub(crate) states: States,
    /// Topics have changed since the hash was taken: the next heartbeat looks.
    pub(crate) is_stale: bool,
}

impl Group {
    /// The epoch of a group that nobody has joined, as Kafka has it.
    const FIRST_EPOCH: i32 = 1;

    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            epoch: Self::FIRST_EPOCH,
            metadata_hash: 0,
            assigned: Assigned::default(),
            members: BTreeMap::new(),
            states: States::default(),
            is_stale: true,
        }
    }

    /// Makes a change. One that needs a member makes it, since a compacted log may have a member's records in any order.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Epoch(Some((epoch, hash))) => (self.epoch, self.metadata_hash) = (epoch, hash),
            Change::Epoch(None) => {}
            Change::AssignmentEpoch(assigned) => self.assigned = assigned.unwrap_or_default(),
            Change::Member(id, Some(profile)) => self.member_or_new(id).profile = profile,
            Change::Member(id, None) => drop(self.members.remove(&id)),
            Change::Target(id, Some(target)) => self.member_or_new(id).target = target,
            Change::Target(id, None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.target = Partitions::default();
                }
            }
            Change::Current(id, Some(current)) => self.member_or_new(id).current = current,
            Change::Current(id, None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.current = Current::default();
                }
            }
            Change::States(states) => self.states = states.unwrap_or_default(),
        }
    }

    fn member_or_new(&mut self, id: Arc<str>) -> &mut Member {
        self.members.entry(id).or_default()
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Member)> {
        self.members.iter()
    }

    pub(crate) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    /// The member with its id as it is shared.
    pub(crate) fn member_entry(&self, id: &str) -> Option<(&Arc<str>, &Member)> {
        self.members.get_key_value(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn state(&self) -> ShareGroupState {
        if self.members.is_empty() { ShareGroupState::Empty } else { ShareGroupState::Stable }
    }

    /// The names that members subscribe to.
    pub(crate) fn subscribed_topics(&self) -> BTreeSet<&str> {
        self.members.values().flat_map(|member| &member.profile.topics).map(String::as_str).collect()
    }

    /// Whether some member subscribes to the topic.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.profile.topics.contains(topic))
    }

    /// The partitions of topics subscribed to that exist and have a state.
    pub(crate) fn assignable(&self, topics: &Topics) -> Partitions {
        let subscribed = self.subscribed_topics().into_iter().filter_map(|name| topics.by_name(name));
        let partitions = subscribed.flat_map(|topic| topic.indexed().map(|(index, _)| (topic.id, index)));
        partitions.filter(|(topic, index)| self.states.initialized.contains(*topic, *index)).collect()
    }

    /// What some member is to have.
    pub(crate) fn targeted(&self) -> Partitions {
        self.members.values().flat_map(|member| member.target.iter()).collect()
    }

    /// All records of the group as it is.
    pub(crate) fn snapshot(&self) -> Vec<Change> {
        let mut changes = vec![Change::Epoch(Some((self.epoch, self.metadata_hash)))];
        for (id, member) in &self.members {
            changes.push(Change::Member(Arc::clone(id), Some(member.profile.clone())));
            changes.push(Change::Target(Arc::clone(id), Some(member.target.clone())));
            changes.push(Change::Current(Arc::clone(id), Some(member.current.clone())));
        }
        changes.push(Change::AssignmentEpoch(Some(self.assigned)));
        if !self.states.is_empty() {
            changes.push(Change::States(Some(self.states.clone())));
        }
        changes
    }

    /// What deletes all of its records that it knows of.
    pub(crate) fn tombstones(&self) -> Vec<Change> {
        let members = self.members.keys().flat_map(member_tombstones);
        members.chain([Change::AssignmentEpoch(None), Change::States(None), Change::Epoch(None)]).collect()
    }
}

/// What removes a member, in an order that leaves no part without the member.
pub(crate) fn member_tombstones(id: &Arc<str>) -> [Change; 3] {
    [Change::Current(Arc::clone(id), None), Change::Target(Arc::clone(id), None), Change::Member(Arc::clone(id), None)]
}

/// Marks the groups that subscribe to what differs between two sets of topics.
pub(crate) fn mark_stale<'a>(groups: impl Iterator<Item = &'a mut Group>, before: &Topics, after: &Topics) {
    let mut fresh = groups.filter(|group| !group.is_stale).peekable();
    if fresh.peek().is_none() {
        return;
    }
    let changes = changed_topics(before, after);
    fresh.for_each(|group| group.is_stale = changes.iter().any(|(name, _)| group.is_subscribed(name)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::TopicId;
    use uuid::Uuid;

    const T: TopicId = TopicId(Uuid::from_u128(7));

    #[test]
    fn a_group_made_of_the_snapshot_of_another_is_the_same_and_its_tombstones_leave_nothing() {
        let mut group = Group::new("g".into());
        let partitions: Partitions = [(T, 1)].into_iter().collect();
        let states =
            States { initialized: partitions.clone(), names: [(T, "t".to_owned())].into(), ..States::default() };
        group.apply(Change::Epoch(Some((5, 6))));
        group
            .apply(Change::Member("a".into(), Some(Profile { topics: ["t".to_owned()].into(), ..Profile::default() })));
        group.apply(Change::Target("a".into(), Some(partitions.clone())));
        group.apply(Change::Current("a".into(), Some(Current { epoch: 5, previous_epoch: 4, assigned: partitions })));
        group.apply(Change::AssignmentEpoch(Some(Assigned { epoch: 5, at: Timestamp(7) })));
        group.apply(Change::States(Some(states)));
        let mut other = Group::new("g".into());
        group.snapshot().into_iter().for_each(|change| other.apply(change));
        assert_eq!(format!("{other:?}"), format!("{group:?}"));
        assert!(other.is_subscribed("t"));
        group.tombstones().into_iter().for_each(|change| other.apply(change));
        assert!(other.is_empty() && other.states.is_empty() && other.assigned == Assigned::default());
    }
}
