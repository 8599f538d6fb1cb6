//! Sets of tasks. A task is one partition number of one subtopology.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A task: its subtopology and its partition.
pub type Task = (Arc<str>, i32);

/// Tasks by subtopology. A subtopology without tasks is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tasks(BTreeMap<Arc<str>, BTreeSet<i32>>);

impl Tasks {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Whether this one is in it.
    pub fn contains(&self, subtopology: &str, partition: i32) -> bool {
        self.0.get(subtopology).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Whether all of these are in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|(subtopology, partition)| other.contains(subtopology, partition))
    }

    /// Whether any of these is in `other`.
    pub fn intersects(&self, other: &Self) -> bool {
        self.iter().any(|(subtopology, partition)| other.contains(subtopology, partition))
    }

    /// Adds one.
    pub fn insert(&mut self, (subtopology, partition): Task) {
        self.0.entry(subtopology).or_default().insert(partition);
    }

    /// Takes one out, if it is there.
    pub fn remove(&mut self, subtopology: &str, partition: i32) {
        if let Some(partitions) = self.0.get_mut(subtopology) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.0.remove(subtopology);
            }
        }
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32)> + '_ {
        self.0.iter().flat_map(|(subtopology, partitions)| partitions.iter().map(move |index| (subtopology, *index)))
    }

    /// Subtopology by subtopology.
    pub fn subtopologies(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &BTreeSet<i32>)> {
        self.0.iter()
    }
}

impl FromIterator<Task> for Tasks {
    fn from_iter<I: IntoIterator<Item = Task>>(tasks: I) -> Self {
        let mut set = Self::default();
        tasks.into_iter().for_each(|task| set.insert(task));
        set
    }
}

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// It processes records.
    Active,
    /// It keeps a copy of the state of an active task.
    Standby,
    /// It builds up the state before it becomes active.
    Warmup,
}

impl Role {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Active, Self::Standby, Self::Warmup];
}

/// The tasks of a member by what they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSets {
    /// Those that process records.
    pub active: Tasks,
    /// Those that keep copies of state.
    pub standby: Tasks,
    /// Those that build state up.
    pub warmup: Tasks,
}

impl TaskSets {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }

    /// Those of one role.
    pub(super) fn of(&self, role: Role) -> &Tasks {
        match role {
            Role::Active => &self.active,
            Role::Standby => &self.standby,
            Role::Warmup => &self.warmup,
        }
    }

    pub(super) fn of_mut(&mut self, role: Role) -> &mut Tasks {
        match role {
            Role::Active => &mut self.active,
            Role::Standby => &mut self.standby,
            Role::Warmup => &mut self.warmup,
        }
    }

    /// Whether all of these are in `other`, in the same roles.
    pub(super) fn is_subset(&self, other: &Self) -> bool {
        Role::ALL.into_iter().all(|role| self.of(role).is_subset(other.of(role)))
    }

    /// Whether any of these is in `other`, in the same role.
    pub(super) fn intersects(&self, other: &Self) -> bool {
        Role::ALL.into_iter().any(|role| self.of(role).intersects(other.of(role)))
    }

    /// One by one.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Role, &Arc<str>, i32)> {
        Role::ALL
            .into_iter()
            .flat_map(|role| self.of(role).iter().map(move |(subtopology, partition)| (role, subtopology, partition)))
    }
}
