//! A streams group: what its records say, and the books that follow from them. What the records say changes only by
//! [`Group::apply`], alike when a rule decides and when the log is replayed; the rest is forgotten when the coordinator
//! moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::configure::Configured;
use super::member::{Current, Member, Profile};
use super::request::StreamsGroupState;
use super::tasks::{Role, Task, TaskSets};
use super::topology::StreamsTopology;
use crate::Timestamp;
use crate::group::assigned::Assigned;
use crate::group::consumer::topics::changed_topics;
use crate::metadata::Topics;

/// A change of a group; each is one record. None deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The group's epoch and what it was begun for; none deletes the group.
    Epoch(Option<GroupEpoch>),
    /// The topology of the application.
    Topology(Option<StreamsTopology>),
    /// What a member says of itself; none removes the member.
    Member(Arc<str>, Option<Profile>),
    /// The group epoch that the targets are for, and when they were made.
    AssignmentEpoch(Option<Assigned>),
    /// What a member is to have.
    Target(Arc<str>, Option<TaskSets>),
    /// Where a member stands.
    Current(Arc<str>, Option<Current>),
}

impl Change {
    /// Whether it only deletes, so that it makes nothing that was not there.
    pub(crate) fn is_deletion(&self) -> bool {
        match self {
            Self::Epoch(value) => value.is_none(),
            Self::Topology(value) => value.is_none(),
            Self::Member(_, value) => value.is_none(),
            Self::AssignmentEpoch(value) => value.is_none(),
            Self::Target(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
        }
    }
}

/// An epoch of a group, and what it was begun for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupEpoch {
    pub(crate) epoch: i32,
    /// The hash of the topics.
    pub(crate) metadata_hash: i64,
    /// The epoch of the topology, if its topics are there and fit together; else [`NOT_VALIDATED`].
    pub(crate) validated_topology: i32,
    /// What the assignor was to heed, under Kafka's names.
    pub(crate) configs: BTreeMap<String, String>,
}

/// No topology is known to be ready.
pub(crate) const NOT_VALIDATED: i32 = -1;

/// See the module.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: Arc<str>,
    pub(crate) epoch: GroupEpoch,
    pub(crate) topology: Option<StreamsTopology>,
    /// What the targets are.
    pub(crate) assigned: Assigned,
    members: BTreeMap<Arc<str>, Member>,
    /// Who has, or still has to give up, an active task.
    active: HashMap<Task, Arc<str>>,
    /// The same of standby and warm-up tasks.
    copies: HashMap<Task, BTreeSet<Arc<str>>>,
    /// What the topics make of the topology; none until somebody has looked.
    pub(crate) configured: Option<Configured>,
    /// Topics have changed since the hash was taken: the next heartbeat looks.
    pub(crate) is_stale: bool,
    /// Tells what members know of one another's endpoints from what they do not know yet.
    pub(crate) endpoint_epoch: i32,
    /// Who asked for the application to stop, as long as there are members.
    shut_down_by: Option<Arc<str>>,
}

impl Group {
    /// Group and assignment epoch of a group that nobody has joined, as Kafka has it.
    const FIRST_EPOCH: i32 = 1;
    const NEVER_ASSIGNED: Assigned = Assigned { epoch: Self::FIRST_EPOCH, at: Timestamp(0) };

    pub(crate) fn new(id: Arc<str>) -> Self {
        let epoch = GroupEpoch {
            epoch: Self::FIRST_EPOCH,
            metadata_hash: 0,
            validated_topology: NOT_VALIDATED,
            configs: BTreeMap::new(),
        };
        Self {
            id,
            epoch,
            topology: None,
            assigned: Self::NEVER_ASSIGNED,
            members: BTreeMap::new(),
            active: HashMap::new(),
            copies: HashMap::new(),
            configured: None,
            is_stale: true,
            endpoint_epoch: 0,
            shut_down_by: None,
        }
    }

    /// Makes a change. One that needs a member makes it, since a compacted log may have a member's records in any order.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Epoch(Some(epoch)) => self.epoch = epoch,
            Change::Epoch(None) => {}
            Change::Topology(topology) => self.topology = topology,
            Change::AssignmentEpoch(value) => self.assigned = value.unwrap_or(Self::NEVER_ASSIGNED),
            Change::Member(id, Some(profile)) => self.member_or_new(id).profile = profile,
            Change::Member(id, None) => self.remove(&id),
            Change::Target(id, Some(target)) => self.member_or_new(id).target = target,
            Change::Target(id, None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.target = TaskSets::default();
                }
            }
            Change::Current(id, Some(current)) => self.put_current(id, current),
            Change::Current(id, None) => {
                if self.members.contains_key(&id) {
                    self.put_current(id, Current::default());
                }
            }
        }
    }

    fn member_or_new(&mut self, id: Arc<str>) -> &mut Member {
        self.members.entry(id).or_default()
    }

    fn remove(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.remove(id) else { return };
        self.release(id, &member.current);
        if self.members.is_empty() {
            self.shut_down_by = None;
        }
    }

    fn release(&mut self, id: &Arc<str>, current: &Current) {
        for (role, task) in held(current) {
            match role {
                Role::Active => {
                    if self.active.get(&task) == Some(id) {
                        self.active.remove(&task);
                    }
                }
                Role::Standby | Role::Warmup => {
                    if let Some(holders) = self.copies.get_mut(&task) {
                        holders.remove(id);
                        if holders.is_empty() {
                            self.copies.remove(&task);
                        }
                    }
                }
            }
        }
    }

    /// An active task is with whom it was given to last: a log that lacks a record in between must not give it to two.
    fn put_current(&mut self, id: Arc<str>, current: Current) {
        let before = std::mem::take(&mut self.member_or_new(Arc::clone(&id)).current);
        self.release(&id, &before);
        for (role, task) in held(&current) {
            if role != Role::Active {
                self.copies.entry(task).or_default().insert(Arc::clone(&id));
                continue;
            }
            let former = self.active.insert(task.clone(), Arc::clone(&id));
            if let Some(former) = former.and_then(|former| self.members.get_mut(&former)) {
                former.current.lose_active(&task);
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

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether other members let `id` have a task in a role: an active task is with one member only, and one process has
    /// a task once only, in whatever role.
    pub(crate) fn is_free_for(&self, id: &str, role: Role, subtopology: &Arc<str>, partition: i32) -> bool {
        let Some(member) = self.members.get(id) else { return false };
        let task = (Arc::clone(subtopology), partition);
        let is_in_process = |other: &Arc<str>| {
            **other != *id
                && self.members.get(other).is_some_and(|other| other.profile.process_id == member.profile.process_id)
        };
        let owner = self.active.get(&task).filter(|owner| ***owner != *id);
        let is_active_elsewhere = owner.is_some_and(|owner| role == Role::Active || is_in_process(owner));
        let is_copied_here = || self.copies.get(&task).is_some_and(|holders| holders.iter().any(is_in_process));
        !is_active_elsewhere && !is_copied_here()
    }

    /// Notes that a member asks for the application to stop. The first one counts.
    pub(crate) fn shut_down(&mut self, by: &Arc<str>) {
        self.shut_down_by.get_or_insert_with(|| Arc::clone(by));
    }

    pub(crate) fn shut_down_by(&self) -> Option<&Arc<str>> {
        self.shut_down_by.as_ref()
    }

    /// Whether members read the topic.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        !self.is_empty() && self.topology.as_ref().is_some_and(|topology| topology.reader_of(topic).is_some())
    }

    pub(crate) fn state(&self) -> StreamsGroupState {
        let is_ready = || self.topology.as_ref().is_some_and(|t| t.epoch == self.epoch.validated_topology);
        if self.members.is_empty() {
            StreamsGroupState::Empty
        } else if !is_ready() {
            StreamsGroupState::NotReady
        } else if self.epoch.epoch > self.assigned.epoch {
            StreamsGroupState::Assigning
        } else if self.members.values().all(|member| member.current.is_reconciled_to(self.assigned.epoch)) {
            StreamsGroupState::Stable
        } else {
            StreamsGroupState::Reconciling
        }
    }

    /// All records of the group as it is.
    pub(crate) fn snapshot(&self) -> Vec<Change> {
        let mut changes = vec![Change::Epoch(Some(self.epoch.clone()))];
        changes.extend(self.topology.clone().map(|topology| Change::Topology(Some(topology))));
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
        let members = self.members.keys().flat_map(member_tombstones);
        members.chain([Change::AssignmentEpoch(None), Change::Topology(None), Change::Epoch(None)]).collect()
    }
}

/// What a member has, or still has to give up.
fn held(current: &Current) -> impl Iterator<Item = (Role, Task)> {
    let held = current.assigned.iter().chain(current.revoking.iter());
    held.map(|(role, subtopology, partition)| (role, (Arc::clone(subtopology), partition)))
}

/// What removes a member, in an order that leaves no part without the member.
pub(crate) fn member_tombstones(id: &Arc<str>) -> [Change; 3] {
    [Change::Current(Arc::clone(id), None), Change::Target(Arc::clone(id), None), Change::Member(Arc::clone(id), None)]
}

/// Marks the groups whose topology needs what differs between two sets of topics.
pub(crate) fn mark_stale<'a>(groups: impl Iterator<Item = &'a mut Group>, before: &Topics, after: &Topics) {
    let mut fresh = groups.filter(|group| !group.is_stale).peekable();
    if fresh.peek().is_none() {
        return;
    }
    let changes = changed_topics(before, after);
    for group in fresh {
        let required = group.topology.as_ref().map(StreamsTopology::required_topics).unwrap_or_default();
        group.is_stale = changes.iter().any(|(name, _)| required.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(group: &mut Group, id: &str, process: &str, active: &[i32], revoking: &[i32], standby: &[i32]) {
        let tasks = |indexes: &[i32]| indexes.iter().map(|index| ("0".into(), *index)).collect();
        let profile = Profile { process_id: process.into(), ..Profile::default() };
        group.apply(Change::Member(id.into(), Some(profile)));
        let assigned = TaskSets { active: tasks(active), standby: tasks(standby), ..TaskSets::default() };
        let revoking = TaskSets { active: tasks(revoking), ..TaskSets::default() };
        group.apply(Change::Current(id.into(), Some(Current { assigned, revoking, ..Current::default() }.date())));
    }

    fn is_free(group: &Group, id: &str, role: Role, partition: i32) -> bool {
        group.is_free_for(id, role, &"0".into(), partition)
    }

    #[test]
    fn an_active_task_is_with_its_owner_until_it_is_given_up() {
        let mut group = Group::new("g".into());
        put(&mut group, "a", "p", &[1], &[2], &[]);
        put(&mut group, "b", "q", &[], &[], &[]);
        assert!(!is_free(&group, "b", Role::Active, 1) && !is_free(&group, "b", Role::Active, 2));
        assert!(is_free(&group, "b", Role::Standby, 1), "another process may have a copy");
        assert!(is_free(&group, "a", Role::Active, 2));
        put(&mut group, "a", "p", &[1], &[], &[]);
        assert!(is_free(&group, "b", Role::Active, 2));
        group.apply(Change::Member("a".into(), None));
        assert!(is_free(&group, "b", Role::Active, 1));
    }

    #[test]
    fn a_process_has_a_task_once() {
        let mut group = Group::new("g".into());
        put(&mut group, "a", "p", &[1], &[], &[2]);
        put(&mut group, "b", "p", &[], &[], &[]);
        put(&mut group, "c", "q", &[], &[], &[]);
        assert!(!is_free(&group, "b", Role::Standby, 1) && is_free(&group, "c", Role::Standby, 1));
        assert!(!is_free(&group, "b", Role::Active, 2) && is_free(&group, "c", Role::Active, 2));
        assert!(is_free(&group, "a", Role::Active, 2), "its own copy, once it has given that up");
    }

    #[test]
    fn of_two_that_claim_an_active_task_the_later_has_it() {
        let mut group = Group::new("g".into());
        put(&mut group, "a", "p", &[1, 2], &[], &[]);
        put(&mut group, "b", "q", &[1], &[], &[]);
        let left: Vec<i32> =
            group.member("a").unwrap().current.assigned.active.iter().map(|(_, index)| index).collect();
        assert_eq!(left, [2]);
    }

    #[test]
    fn a_group_made_of_the_snapshot_of_another_is_the_same_and_its_tombstones_leave_nothing() {
        let mut group = Group::new("g".into());
        let configs = [("num.standby.replicas".to_owned(), "1".to_owned())].into();
        group.apply(Change::Epoch(Some(GroupEpoch { epoch: 5, metadata_hash: 6, validated_topology: 0, configs })));
        group.apply(Change::Topology(Some(StreamsTopology { epoch: 0, ..StreamsTopology::default() })));
        put(&mut group, "a", "p", &[1], &[2], &[3]);
        group.apply(Change::Target("a".into(), Some(group.member("a").unwrap().current.assigned.clone())));
        let assigned = Assigned { epoch: 5, at: Timestamp(77) };
        group.apply(Change::AssignmentEpoch(Some(assigned)));
        let mut other = Group::new("g".into());
        group.snapshot().into_iter().for_each(|change| other.apply(change));
        assert_eq!(format!("{:?}", other.members), format!("{:?}", group.members));
        assert_eq!((&other.epoch, &other.topology), (&group.epoch, &group.topology));
        assert_eq!(other.assigned, assigned);
        assert!(!is_free(&other, "a", Role::Active, 9) || other.active.len() == 2);
        group.tombstones().into_iter().for_each(|change| other.apply(change));
        assert!(other.is_empty() && other.topology.is_none() && other.active.is_empty() && other.copies.is_empty());
    }
}
