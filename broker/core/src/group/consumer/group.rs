//! A group of the consumer protocol: what its records say, and the books that follow from them. It changes only by
//! [`Group::apply`], alike when a rule decides and when the log is replayed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Partitions;
use super::assignor::Assignor;
use super::member::{Current, Member, Profile};
use super::request::ConsumerGroupState;
use crate::TopicId;
use crate::group::assigned::Assigned;

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
    /// The topics that match a pattern.
    Regex(String, Option<Resolved>),
    /// The topics of the group as releases of Kafka before 4.1 stored them. Only ever deleted here.
    LegacyTopics,
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
            Self::Regex(_, value) => value.is_none(),
            Self::LegacyTopics => true,
        }
    }
}

/// What a pattern was found to match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) topics: BTreeSet<String>,
    /// The metadata that it was looked for in.
    pub(crate) version: i64,
    /// When, on the wall clock, in milliseconds.
    pub(crate) timestamp: i64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: Arc<str>,
    pub(crate) epoch: i32,
    pub(crate) metadata_hash: i64,
    pub(crate) assigned: Assigned,
    members: BTreeMap<Arc<str>, Member>,
    /// Static members by their instance id.
    instances: HashMap<String, Arc<str>>,
    /// Who has, or still has to give up, a partition.
    owners: HashMap<(TopicId, i32), Arc<str>>,
    regexes: BTreeMap<String, Resolved>,
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
            instances: HashMap::new(),
            owners: HashMap::new(),
            regexes: BTreeMap::new(),
            is_stale: true,
        }
    }

    /// Makes a change. One that needs a member makes it, since a compacted log may have a member's records in any order.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Epoch(Some((epoch, hash))) => (self.epoch, self.metadata_hash) = (epoch, hash),
            Change::AssignmentEpoch(assigned) => self.assigned = assigned.unwrap_or_default(),
            Change::Member(id, Some(profile)) => self.put_profile(id, profile),
            Change::Member(id, None) => self.remove(&id),
            Change::Target(id, Some(target)) => self.member_or_new(id).target = target,
            Change::Target(id, None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.target = Partitions::default();
                }
            }
            Change::Current(id, Some(current)) => self.put_current(id, current),
            Change::Current(id, None) => {
                if self.members.contains_key(&id) {
                    self.put_current(id, Current::default());
                }
            }
            Change::Regex(pattern, Some(resolved)) => drop(self.regexes.insert(pattern, resolved)),
            Change::Regex(pattern, None) => drop(self.regexes.remove(&pattern)),
            Change::Epoch(None) | Change::LegacyTopics => {}
        }
    }

    fn member_or_new(&mut self, id: Arc<str>) -> &mut Member {
        self.members.entry(id).or_default()
    }

    fn put_profile(&mut self, id: Arc<str>, profile: Profile) {
        if let Some(instance_id) = &profile.instance_id {
            self.instances.insert(instance_id.clone(), Arc::clone(&id));
        }
        self.member_or_new(id).profile = profile;
    }

    fn remove(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.remove(id) else { return };
        self.release(id, &member.current);
        if let Some(instance_id) = &member.profile.instance_id
            && self.instances.get(instance_id) == Some(id)
        {
            self.instances.remove(instance_id);
        }
    }

    fn release(&mut self, id: &Arc<str>, current: &Current) {
        for partition in current.assigned.iter().chain(current.revoking.iter()) {
            if self.owners.get(&partition) == Some(id) {
                self.owners.remove(&partition);
            }
        }
    }

    /// A partition is with whom it was given to last: a log that lacks a record in between must not give it to two.
    fn put_current(&mut self, id: Arc<str>, current: Current) {
        let before = std::mem::take(&mut self.member_or_new(Arc::clone(&id)).current);
        self.release(&id, &before);
        for (topic, partition) in current.assigned.iter().chain(current.revoking.iter()) {
            let former = self.owners.insert((topic, partition), Arc::clone(&id));
            if let Some(former) = former.and_then(|former| self.members.get_mut(&former)) {
                former.current.assigned.remove(topic, partition);
                former.current.revoking.remove(topic, partition);
            }
        }
        self.member_or_new(id).current = current;
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

    pub(crate) fn static_member(&self, instance_id: &str) -> Option<(&Arc<str>, &Member)> {
        self.member_entry(self.instances.get(instance_id)?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether no member but `id` has the partition.
    pub(crate) fn is_free_for(&self, id: &str, topic: TopicId, partition: i32) -> bool {
        self.owners.get(&(topic, partition)).is_none_or(|owner| **owner == *id)
    }

    pub(crate) fn regexes(&self) -> impl Iterator<Item = (&String, &Resolved)> {
        self.regexes.iter()
    }

    pub(crate) fn resolved(&self, pattern: &str) -> Option<&Resolved> {
        self.regexes.get(pattern)
    }

    /// The names that a member subscribes to.
    pub(crate) fn topics_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a str> {
        let matched = member.profile.regex.as_ref().and_then(|pattern| self.regexes.get(pattern));
        member
            .profile
            .topics
            .iter()
            .chain(matched.into_iter().flat_map(|resolved| &resolved.topics))
            .map(String::as_str)
    }

    /// The names that members subscribe to.
    pub(crate) fn subscribed_topics(&self) -> BTreeSet<&str> {
        let patterns: BTreeSet<&String> = self.members.values().filter_map(|m| m.profile.regex.as_ref()).collect();
        let matched = patterns.into_iter().filter_map(|pattern| self.regexes.get(pattern));
        let named = self.members.values().flat_map(|member| &member.profile.topics);
        named.chain(matched.flat_map(|resolved| &resolved.topics)).map(String::as_str).collect()
    }

    /// Whether some member subscribes to the topic.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.regexes.values().any(|resolved| resolved.topics.contains(topic))
            || self.members.values().any(|member| member.profile.topics.contains(topic))
    }

    pub(crate) fn state(&self) -> ConsumerGroupState {
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch > self.assigned.epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(|member| member.current.is_reconciled_to(self.assigned.epoch)) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// The assignor that most members ask for, the first by name among equals; none if nobody asks.
    pub(crate) fn preferred_assignor(&self) -> Option<Assignor> {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for vote in self.members.values().filter_map(|member| Assignor::from_name(member.profile.assignor.as_deref()?))
        {
            *votes.entry(vote).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(assignor, _)| assignor)
    }

    /// All records of the group as it is.
    pub(crate) fn snapshot(&self) -> Vec<Change> {
        let mut changes = vec![Change::Epoch(Some((self.epoch, self.metadata_hash)))];
        changes.extend(
            self.regexes.iter().map(|(pattern, resolved)| Change::Regex(pattern.clone(), Some(resolved.clone()))),
        );
        for (id, member) in &self.members {
            changes.push(Change::Member(Arc::clone(id), Some(member.profile.clone())));
            changes.push(Change::Target(Arc::clone(id), Some(member.target.clone())));
            changes.push(Change::Current(Arc::clone(id), Some(member.current.clone())));
        }
        changes.push(Change::AssignmentEpoch(Some(self.assigned)));
        changes
    }

    /// What deletes all of its records that it knows of.
    pub(crate) fn tombstones(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in self.members.keys() {
            changes.extend(member_tombstones(id));
        }
        changes.extend(self.regexes.keys().map(|pattern| Change::Regex(pattern.clone(), None)));
        changes.extend([Change::AssignmentEpoch(None), Change::LegacyTopics, Change::Epoch(None)]);
        changes
    }
}

/// What removes a member, in an order that leaves no part without the member.
pub(crate) fn member_tombstones(id: &Arc<str>) -> [Change; 3] {
    [Change::Current(Arc::clone(id), None), Change::Target(Arc::clone(id), None), Change::Member(Arc::clone(id), None)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use uuid::Uuid;

    const T: TopicId = TopicId(Uuid::from_u128(7));

    fn current(id: &str, assigned: &[i32], revoking: &[i32]) -> Change {
        let set = |partitions: &[i32]| partitions.iter().map(|partition| (T, *partition)).collect();
        Change::Current(
            id.into(),
            Some(Current { assigned: set(assigned), revoking: set(revoking), ..Current::default() }),
        )
    }

    #[test]
    fn a_partition_is_with_its_owner_until_it_is_given_up() {
        let mut group = Group::new("g".into());
        group.apply(current("a", &[1], &[2]));
        assert!(!group.is_free_for("b", T, 1) && !group.is_free_for("b", T, 2) && group.is_free_for("a", T, 2));
        group.apply(current("a", &[1], &[]));
        assert!(!group.is_free_for("b", T, 1) && group.is_free_for("b", T, 2));
        group.apply(Change::Member("a".into(), None));
        assert!(group.is_free_for("b", T, 1) && group.is_empty());
    }

    #[test]
    fn of_two_that_claim_a_partition_the_later_has_it() {
        let mut group = Group::new("g".into());
        group.apply(current("a", &[1, 2], &[]));
        group.apply(current("b", &[1], &[]));
        assert_eq!(group.member("a").unwrap().current.assigned, [(T, 2)].into_iter().collect());
        assert!(!group.is_free_for("a", T, 1));
    }

    #[test]
    fn a_static_member_is_found_by_its_instance_and_its_successor_keeps_it() {
        let mut group = Group::new("g".into());
        let profile = Profile { instance_id: Some("i".into()), ..Profile::default() };
        group.apply(Change::Member("old".into(), Some(profile.clone())));
        group.apply(Change::Member("new".into(), Some(profile)));
        group.apply(Change::Member("old".into(), None));
        assert_eq!(group.static_member("i").map(|(id, _)| &**id), Some("new"));
    }

    #[test]
    fn a_group_made_of_the_snapshot_of_another_is_the_same() {
        let mut group = Group::new("g".into());
        let resolved = Resolved { topics: ["t".to_owned()].into(), version: 3, timestamp: 4 };
        group.apply(Change::Epoch(Some((5, 6))));
        group.apply(Change::Regex("t.*".into(), Some(resolved)));
        group.apply(Change::Member("a".into(), Some(Profile { regex: Some("t.*".into()), ..Profile::default() })));
        group.apply(Change::Target("a".into(), Some([(T, 1)].into_iter().collect())));
        group.apply(current("a", &[1], &[]));
        group.apply(Change::AssignmentEpoch(Some(Assigned { epoch: 5, at: Timestamp(7) })));
        let mut other = Group::new("g".into());
        group.snapshot().into_iter().for_each(|change| other.apply(change));
        assert_eq!(format!("{other:?}"), format!("{group:?}"));
        assert!(other.is_subscribed("t"));
        group.tombstones().into_iter().for_each(|change| other.apply(change));
        assert!(other.is_empty() && other.regexes().next().is_none());
    }
}
