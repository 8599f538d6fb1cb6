//! Who gets which task, as Kafka's `sticky` assignor has it: members have active tasks of equal number, and keep those
//! that they have as far as that allows; who has a copy of the state comes next, and then who has least to do for its
//! number of members. Copies go to processes that do not have the task. Pure; the answer depends on the question only.

mod load;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::configure::Size;
use super::tasks::{Role, Task, TaskSets};
use load::{Load, Quota};

/// The setting that the assignor heeds, as it is stored with the group.
pub(crate) const NUM_STANDBY_REPLICAS: &str = "num.standby.replicas";

/// A member that may get tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: &'a Arc<str>,
    /// The process that it is a thread of.
    pub(crate) process_id: &'a str,
    /// What it was to have before.
    pub(crate) target: &'a TaskSets,
}

/// What there is to assign.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) candidates: Vec<Candidate<'a>>,
    pub(crate) sizes: &'a BTreeMap<Arc<str>, Size>,
    /// Copies of each task that has state.
    pub(crate) standbys: u32,
}

/// The tasks of every member. Of copies there may be fewer than asked for, if there are too few processes.
pub(crate) fn assign(question: &Question<'_>) -> Vec<(Arc<str>, TaskSets)> {
    let mut assignment = Assignment::new(question);
    if !question.candidates.is_empty() {
        assignment.assign_active(question);
        assignment.assign_standbys(question);
    }
    let ids = question.candidates.iter().map(|candidate| Arc::clone(candidate.id));
    ids.zip(assignment.tasks).collect()
}

/// The assignment as it comes about; members go by their place in the question.
struct Assignment {
    tasks: Vec<TaskSets>,
    load: Load,
    /// How many active tasks, and how many in all, a member should have.
    active_quota: Quota,
    quota: Quota,
    /// Who was to have a task before.
    active_before: HashMap<Task, usize>,
    standby_before: HashMap<Task, Vec<usize>>,
}

impl Assignment {
    fn new(question: &Question<'_>) -> Self {
        let members = question.candidates.len();
        let active: usize = question.sizes.values().map(|size| to_count(size.tasks)).sum();
        let stateful = question.sizes.values().filter(|size| size.is_stateful).map(|size| to_count(size.tasks));
        let copies = stateful.sum::<usize>().saturating_mul(question.standbys as usize);
        let mut active_before = HashMap::new();
        let mut standby_before: HashMap<Task, Vec<usize>> = HashMap::new();
        for (member, candidate) in question.candidates.iter().enumerate() {
            for (subtopology, partition) in candidate.target.active.iter() {
                active_before.insert((Arc::clone(subtopology), partition), member);
            }
            for (subtopology, partition) in candidate.target.standby.iter() {
                standby_before.entry((Arc::clone(subtopology), partition)).or_default().push(member);
            }
        }
        Self {
            tasks: vec![TaskSets::default(); members],
            load: Load::new(question.candidates.iter().map(|candidate| candidate.process_id)),
            active_quota: Quota::new(active, members),
            quota: Quota::new(active + copies, members),
            active_before,
            standby_before,
        }
    }

    fn give(&mut self, member: usize, role: Role, task: &Task) {
        self.tasks[member].of_mut(role).insert(task.clone());
        let count = self.load.add(member, task);
        if role == Role::Active {
            self.active_quota.reached(count);
        }
        self.quota.reached(count);
    }

    fn assign_active(&mut self, question: &Question<'_>) {
        let mut tasks = tasks(question.sizes, |_| true);
        // Tasks of the same partition of several subtopologies stay together where only some can be kept.
        tasks.sort_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
        tasks.retain(|task| !self.keep_active(task));
        tasks.retain(|task| !self.promote(task));
        tasks.sort();
        for task in tasks {
            let Some(member) = self.load.least(|_| true) else { return };
            self.give(member, Role::Active, &task);
        }
    }

    /// Leaves an active task with who has it; false if that has enough.
    fn keep_active(&mut self, task: &Task) -> bool {
        let has_room = |member: &usize| self.active_quota.has_room(self.load.of(*member));
        let Some(member) = self.active_before.get(task).copied().filter(has_room) else { return false };
        self.give(member, Role::Active, task);
        true
    }

    /// Makes a copy active; false if who has one has enough.
    fn promote(&mut self, task: &Task) -> bool {
        let before = self.standby_before.get(task).into_iter().flatten().copied();
        let least = before.min_by_key(|member| self.load.key(*member));
        let has_room = |member: &usize| self.active_quota.has_room(self.load.of(*member));
        let Some(member) = least.filter(has_room) else { return false };
        self.give(member, Role::Active, task);
        true
    }

    fn assign_standbys(&mut self, question: &Question<'_>) {
        let mut tasks = tasks(question.sizes, |size| size.is_stateful);
        tasks.sort_by(|one, other| (other.1, &other.0).cmp(&(one.1, &one.0)));
        let mut wanting = Vec::new();
        for task in tasks {
            let kept = (0..question.standbys).take_while(|_| self.keep_copy(&task)).count();
            wanting.push((task, question.standbys as usize - kept));
        }
        wanting.sort_by(|(one, _), (other, _)| other.cmp(one));
        for (task, copies) in wanting {
            for _ in 0..copies {
                let Some(member) = self.load.least(|process| !process.has(&task)) else { break };
                self.give(member, Role::Standby, &task);
            }
        }
    }

    /// Leaves a copy with who has the state, first of all who was active; false if there is none with room.
    fn keep_copy(&mut self, task: &Task) -> bool {
        let can_take =
            |member: &usize| !self.load.process_of(*member).has(task) && self.quota.has_room(self.load.of(*member));
        let active = self.active_before.get(task).copied().filter(can_take);
        let standby = || {
            let before = self.standby_before.get(task).into_iter().flatten().copied();
            before.filter(can_take).min_by_key(|member| self.load.key(*member))
        };
        let Some(member) = active.or_else(standby) else { return false };
        self.give(member, Role::Standby, task);
        true
    }
}

fn tasks(sizes: &BTreeMap<Arc<str>, Size>, which: impl Fn(&Size) -> bool) -> Vec<Task> {
    let chosen = sizes.iter().filter(|(_, size)| which(size));
    chosen.flat_map(|(id, size)| (0..size.tasks).map(|partition| (Arc::clone(id), partition))).collect()
}

fn to_count(tasks: i32) -> usize {
    usize::try_from(tasks).unwrap_or(0)
}

#[cfg(test)]
#[path = "assignor_tests.rs"]
mod tests;
