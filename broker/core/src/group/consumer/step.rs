//! The steps that every request of a member takes (KIP-848): what it says of itself, what that means for the group's
//! epoch, the target of that epoch, and how far the member has come towards it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use fnv::FnvHasher;

use super::Partitions;
use super::assignor::{Question, Subscriber};
use super::group::{Change, Group, Resolved, member_tombstones};
use super::member::{Current, Profile};
use super::pattern::Pattern;
use super::reconcile::{Target, reconcile};
use crate::TopicId;
use crate::group::assigned::Assigned;
use crate::group::context::Context;
use crate::group::timers::Timer;
use crate::metadata::{Image, Topics};

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

    /// Notes what a member says; true if it subscribes to something else than before.
    pub(crate) fn put_profile(&mut self, id: &Arc<str>, profile: Profile) -> bool {
        let none = Profile::default();
        let before = self.group.member(id).map_or(&none, |member| &member.profile);
        let is_known = self.group.member(id).is_some();
        if is_known && *before == profile {
            return false;
        }
        let changed = before.topics != profile.topics || before.regex != profile.regex;
        self.put(Change::Member(Arc::clone(id), Some(profile)));
        changed
    }

    /// Gives the place of a static member to its next incarnation, which has yet to come into an epoch.
    pub(crate) fn replace(&mut self, old: &Arc<str>, new: &Arc<str>) {
        let Some(member) = self.group.member(old).cloned() else { return };
        member_tombstones(old).into_iter().for_each(|change| self.put(change));
        self.put(Change::Member(Arc::clone(new), Some(member.profile)));
        self.put(Change::Target(Arc::clone(new), Some(member.target)));
        let current = Current { epoch: 0, previous_epoch: 0, ..member.current };
        self.put(Change::Current(Arc::clone(new), Some(current)));
    }

    /// Takes a member out; its partitions are free.
    pub(crate) fn remove(&mut self, id: &Arc<str>) {
        member_tombstones(id).into_iter().for_each(|change| self.put(change));
    }

    /// Begins another epoch of the group if `changed`, or if the topics that it subscribes to are others than before.
    pub(crate) fn refresh(&mut self, image: &Image, now: i64, changed: bool) {
        let is_stale = std::mem::take(&mut self.group.is_stale);
        if !changed && !is_stale {
            return;
        }
        let matched_others = self.resolve_patterns(image, now, is_stale);
        let hash = metadata_hash(&self.group.subscribed_topics(), image.topics());
        if changed || matched_others || hash != self.group.metadata_hash {
            self.put(Change::Epoch(Some((self.group.epoch.saturating_add(1), hash))));
        }
    }

    /// Looks for the topics of patterns that are new, or of all; true if other topics were found than before.
    fn resolve_patterns(&mut self, image: &Image, now: i64, all: bool) -> bool {
        let wanted: BTreeSet<String> =
            self.group.members().filter_map(|(_, member)| member.profile.regex.clone()).collect();
        let unwanted: Vec<String> = self
            .group
            .regexes()
            .map(|(pattern, _)| pattern)
            .filter(|pattern| !wanted.contains(*pattern))
            .cloned()
            .collect();
        for pattern in unwanted {
            self.put(Change::Regex(pattern, None));
        }
        let mut changed = false;
        for pattern in wanted {
            let before = self.group.resolved(&pattern);
            if before.is_some() && !all {
                continue;
            }
            // What was stored was a pattern when it came in; one of another syntax matches nothing.
            let topics = Pattern::new(&pattern).map(|compiled| compiled.resolve(image.topics())).unwrap_or_default();
            if before.is_none_or(|before| before.topics != topics) {
                changed = true;
                let version = i64::try_from(image.index().0).unwrap_or(i64::MAX);
                self.put(Change::Regex(pattern, Some(Resolved { topics, version, timestamp: now })));
            }
        }
        changed
    }

    /// Finds the target of the group's epoch, if it has none yet and may have one: else it gets it when it may.
    pub(crate) fn assign(&mut self, context: &mut Context) {
        if self.group.epoch <= self.group.assigned.epoch {
            return;
        }
        if let Some(wait) = wait_for_targets(self.group, context) {
            return context.schedule(Timer::Assignment(Arc::clone(&self.group.id)), wait);
        }
        let assignor = self.group.preferred_assignor().unwrap_or(context.config.consumer.default_assignor());
        let targets = assignor.assign(&question(self.group, context.image.topics()));
        for (id, target) in targets {
            if self.group.member(&id).is_some_and(|member| member.target != target) {
                self.put(Change::Target(id, Some(target)));
            }
        }
        self.put(Change::AssignmentEpoch(Some(Assigned { epoch: self.group.epoch, at: context.now.wall })));
    }

    /// Brings a member a step towards its target; true if what it may consume has changed.
    pub(crate) fn reconcile(&mut self, id: &Arc<str>, owned: Option<&Partitions>) -> bool {
        let group = &*self.group;
        let Some(member) = group.member(id) else { return false };
        let target = Target { epoch: group.assigned.epoch, partitions: &member.target };
        let is_free = |topic, partition| group.is_free_for(id, topic, partition);
        let next = reconcile(&member.current, target, owned, is_free);
        if next == member.current {
            return false;
        }
        let changed = next.assigned != member.current.assigned;
        self.put(Change::Current(Arc::clone(id), Some(next)));
        changed
    }
}

/// For how long the targets of the group's epoch have to wait, if they do.
pub(crate) fn wait_for_targets(group: &Group, context: &Context) -> Option<Duration> {
    let interval = context.config.consumer.assignment_interval_of(&group.id, &context.image);
    group.assigned.wait(group.epoch, interval, context.now.wall)
}

/// What a member subscribes to: topics by name, and a pattern.
type Wish<'a> = (&'a BTreeSet<String>, Option<&'a String>);

fn question<'a>(group: &'a Group, topics: &Topics) -> Question<'a> {
    let known: BTreeMap<&str, TopicId> =
        group.subscribed_topics().into_iter().filter_map(|name| Some((name, topics.by_name(name)?.id))).collect();
    // Most members subscribe to what others subscribe to.
    let mut shared: HashMap<Wish<'_>, Arc<BTreeSet<TopicId>>> = HashMap::new();
    let members = group.members().map(|(id, member)| {
        let ids =
            || group.topics_of(member).filter_map(|name| known.get(name).copied()).collect::<BTreeSet<_>>().into();
        let topics = shared.entry((&member.profile.topics, member.profile.regex.as_ref())).or_insert_with(ids);
        let instance_id = member.profile.instance_id.as_deref();
        Subscriber { id, instance_id, topics: Arc::clone(topics), target: &member.target }
    });
    let count = |id: &TopicId| topics.by_id(*id).and_then(|topic| i32::try_from(topic.partitions.len()).ok());
    Question { members: members.collect(), topics: known.values().map(|id| (*id, count(id).unwrap_or(0))).collect() }
}

/// Tells one set of existing topics, with their numbers of partitions, from another. Of no meaning outside of Ottla.
pub(in crate::group) fn metadata_hash(names: &BTreeSet<&str>, topics: &Topics) -> i64 {
    let mut hasher = FnvHasher::default();
    for topic in names.iter().filter_map(|name| topics.by_name(name)) {
        hasher.write(topic.id.0.as_bytes());
        hasher.write(topic.name.as_str().as_bytes());
        hasher.write(&topic.partitions.len().to_be_bytes());
    }
    i64::from_be_bytes(hasher.finish().to_be_bytes())
}
