//! The steps that every request of a member takes: what it says of itself, what that means for the group's epoch, the
//! targets of that epoch, and where the member stands then. Since a partition may be with several members, none has to
//! wait for another to give it up.

use std::sync::Arc;

use super::assignor;
use super::group::{Change, Group, member_tombstones};
use super::member::{Current, Profile};
use super::states::States;
use crate::group::Partitions;
use crate::group::assigned::Assigned;
use crate::group::consumer::metadata_hash;
use crate::group::context::Context;
use crate::group::timers::Timer;
use crate::metadata::Image;

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
    fn put(&mut self, change: Change) {
        self.group.apply(change.clone());
        self.changes.push(change);
    }

    /// The changes made.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Notes what a member says; true if it subscribes to something else than before.
    pub(crate) fn put_profile(&mut self, id: &Arc<str>, profile: Profile) -> bool {
        let before = self.group.member(id).map(|member| &member.profile);
        if before == Some(&profile) {
            return false;
        }
        let changed = before.is_none_or(|before| before.topics != profile.topics);
        self.put(Change::Member(Arc::clone(id), Some(profile)));
        changed
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, id: &Arc<str>) {
        member_tombstones(id).into_iter().for_each(|change| self.put(change));
    }

    /// Begins another epoch of the group if `changed`, if the topics that it subscribes to are others than before, or if
    /// there is something else to assign than was assigned for this one.
    pub(crate) fn refresh(&mut self, image: &Image, changed: bool) {
        let is_stale = std::mem::take(&mut self.group.is_stale);
        let topics = image.topics();
        let is_assigned = self.group.epoch <= self.group.assigned.epoch;
        let has_more = || !self.group.is_empty() && self.group.assignable(topics) != self.group.targeted();
        let changed = changed || is_assigned && has_more();
        if !changed && !is_stale {
            return;
        }
        let hash = metadata_hash(&self.group.subscribed_topics(), topics);
        if changed || hash != self.group.metadata_hash {
            self.put(Change::Epoch(Some((self.group.epoch.saturating_add(1), hash))));
        }
    }

    /// Finds the targets of the group's epoch, if it has none yet and may have some: else it gets them when it may.
    pub(crate) fn assign(&mut self, context: &mut Context) {
        if self.group.epoch <= self.group.assigned.epoch {
            return;
        }
        let interval = context.config.share.assignment_interval_of(&self.group.id, &context.image);
        if let Some(wait) = self.group.assigned.wait(self.group.epoch, interval, context.now.wall) {
            return context.schedule(Timer::Assignment(Arc::clone(&self.group.id)), wait);
        }
        for (id, target) in assignor::assign(self.group, context.image.topics()) {
            if self.group.member(&id).is_some_and(|member| member.target != target) {
                self.put(Change::Target(id, Some(target)));
            }
        }
        self.put(Change::AssignmentEpoch(Some(Assigned { epoch: self.group.epoch, at: context.now.wall })));
    }

    /// Gives a member what it is to have; true if what it may consume has changed.
    pub(crate) fn reconcile(&mut self, id: &Arc<str>) -> bool {
        let epoch = self.group.assigned.epoch;
        let Some(member) = self.group.member(id).filter(|member| member.current.epoch != epoch) else { return false };
        let changed = member.current.assigned != member.target;
        let (previous_epoch, assigned) = (member.current.epoch, member.target.clone());
        self.put(Change::Current(Arc::clone(id), Some(Current { epoch, previous_epoch, assigned })));
        changed
    }

    /// Notes that the states of `partitions` are to be made.
    pub(crate) fn initialize(&mut self, partitions: &Partitions, image: &Image) {
        self.change_states(|states| states.begin(partitions, image.topics()));
    }

    /// Makes a change of what is known of the states, if it is one.
    pub(crate) fn change_states(&mut self, change: impl FnOnce(&mut States)) {
        let mut states = self.group.states.clone();
        change(&mut states);
        if states != self.group.states {
            self.put(Change::States(Some(states)));
        }
    }
}
