//! The steps that a heartbeat of a member takes (KIP-1071): what it says of itself, what that and the topics mean for
//! the group's epoch, the target of that epoch, and how far the member has come towards it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::assignor::{self, Candidate, NUM_STANDBY_REPLICAS, Question};
use super::configure::Configured;
use super::group::{Change, Group, GroupEpoch, NOT_VALIDATED, member_tombstones};
use super::member::Profile;
use super::reconcile::{Target, reconcile};
use super::tasks::TaskSets;
use crate::Timestamp;
use crate::group::assigned::Assigned;
use crate::group::context::Context;

/// Changes of a group, made one after another and kept for the log.
pub(crate) struct Step<'a> {
    pub(crate) group: &'a mut Group,
    changes: Vec<Change>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(group: &'a mut Group) -> Self {
        Self { group, changes: Vec::new() }
    }

    /// Makes a change.
    pub(crate) fn put(&mut self, change: Change) {
        self.group.apply(change.clone());
        self.changes.push(change);
    }

    /// The changes made.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Notes what a member says; true if that is something else than before.
    pub(crate) fn put_profile(&mut self, id: &Arc<str>, profile: Profile) -> bool {
        if self.group.member(id).is_some_and(|member| member.profile == profile) {
            return false;
        }
        self.put(Change::Member(Arc::clone(id), Some(profile)));
        true
    }

    /// Takes a member out, and begins another epoch of the group: its tasks are free.
    pub(crate) fn remove(&mut self, id: &Arc<str>) {
        member_tombstones(id).into_iter().for_each(|change| self.put(change));
        let epoch = self.group.epoch.epoch.saturating_add(1);
        self.put(Change::Epoch(Some(GroupEpoch { epoch, ..self.group.epoch.clone() })));
    }

    /// Begins another epoch of the group if `changed`, or if what it was begun for is something else now. What the topics
    /// make of the topology is known.
    pub(crate) fn refresh(&mut self, changed: bool, metadata_hash: i64, standbys: u32) {
        let group = &*self.group;
        let is_ready = group.configured.as_ref().is_some_and(Configured::is_ready);
        let validated = group.topology.as_ref().filter(|_| is_ready).map(|topology| topology.epoch);
        let validated_topology = validated.unwrap_or(NOT_VALIDATED);
        let configs = BTreeMap::from([(NUM_STANDBY_REPLICAS.to_owned(), standbys.to_string())]);
        let epoch = group.epoch.epoch;
        let same = GroupEpoch { epoch, metadata_hash, validated_topology, configs };
        if changed || same != group.epoch {
            self.put(Change::Epoch(Some(GroupEpoch { epoch: epoch.saturating_add(1), ..same })));
        }
    }

    /// Finds the targets of the group's epoch: nothing for anybody while the topology is not ready.
    pub(crate) fn assign(&mut self, now: Timestamp) {
        if self.group.epoch.epoch <= self.group.assigned.epoch {
            return;
        }
        for (id, target) in targets(self.group) {
            if self.group.member(&id).is_some_and(|member| member.target != target) {
                self.put(Change::Target(id, Some(target)));
            }
        }
        self.put(Change::AssignmentEpoch(Some(Assigned { epoch: self.group.epoch.epoch, at: now })));
    }

    /// Brings a member a step towards its target.
    pub(crate) fn reconcile(&mut self, id: &Arc<str>, owned: Option<&TaskSets>) {
        let group = &*self.group;
        let Some(member) = group.member(id) else { return };
        let target = Target { epoch: group.assigned.epoch, tasks: &member.target };
        let is_free = |role, subtopology: &Arc<str>, partition| group.is_free_for(id, role, subtopology, partition);
        let next = reconcile(&member.current, target, owned, is_free);
        if next != member.current {
            self.put(Change::Current(Arc::clone(id), Some(next)));
        }
    }
}

/// For how long the targets of the group's epoch have to wait, if they do.
pub(crate) fn wait_for_targets(group: &Group, context: &Context) -> Option<Duration> {
    let interval = context.config.streams.assignment_interval_of(&group.id, &context.image);
    group.assigned.wait(group.epoch.epoch, interval, context.now.wall)
}

fn targets(group: &Group) -> Vec<(Arc<str>, TaskSets)> {
    let nothing = BTreeMap::new();
    let ready = group.configured.as_ref().filter(|configured| configured.is_ready());
    let candidates = group.members().map(|(id, member)| Candidate {
        id,
        process_id: &member.profile.process_id,
        target: &member.target,
    });
    let standbys = group.epoch.configs.get(NUM_STANDBY_REPLICAS).and_then(|number| number.parse().ok());
    assignor::assign(&Question {
        candidates: candidates.collect(),
        sizes: ready.map_or(&nothing, |configured| &configured.sizes),
        standbys: standbys.unwrap_or(0),
    })
}
