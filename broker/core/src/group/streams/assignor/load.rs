//! How much members and processes have to do while tasks are handed out.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::group::streams::tasks::Task;

/// How many tasks a member should have, so that all have about the same. Whoever has that many counts no more, and the
/// others share what is left.
#[derive(Debug)]
pub(super) struct Quota {
    tasks: usize,
    members: usize,
    each: usize,
}

impl Quota {
    pub(super) fn new(tasks: usize, members: usize) -> Self {
        Self { tasks, members, each: tasks.div_ceil(members.max(1)) }
    }

    pub(super) fn has_room(&self, count: usize) -> bool {
        count < self.each
    }

    /// A member has got its task number `count`.
    pub(super) fn reached(&mut self, count: usize) {
        if count == self.each {
            *self = Self::new(self.tasks.saturating_sub(count), self.members.saturating_sub(1));
        }
    }
}

/// A process, and what its members have.
#[derive(Debug, Default)]
pub(super) struct Process {
    tasks: HashSet<Task>,
    /// Tasks of all its members.
    count: usize,
    /// Its members by how many tasks they have.
    members: BTreeSet<(usize, usize)>,
}

impl Process {
    /// Whether one of its members has the task.
    pub(super) fn has(&self, task: &Task) -> bool {
        self.tasks.contains(task)
    }

    fn share(&self) -> Share {
        Share { tasks: self.count, members: self.members.len() }
    }
}

/// Tasks per member, compared as a fraction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    tasks: usize,
    members: usize,
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.tasks * other.members).cmp(&(other.tasks * self.members))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Share {}

/// The books of all members, who go by their place.
#[derive(Debug)]
pub(super) struct Load {
    /// The process of each member.
    process: Vec<usize>,
    counts: Vec<usize>,
    processes: Vec<Process>,
    /// The processes by how much they have to do.
    order: BTreeSet<(Share, usize)>,
}

impl Load {
    pub(super) fn new<'a>(process_ids: impl Iterator<Item = &'a str>) -> Self {
        let (mut places, mut processes, mut process) = (HashMap::new(), Vec::<Process>::new(), Vec::new());
        for (member, id) in process_ids.enumerate() {
            let place = *places.entry(id).or_insert_with(|| {
                processes.push(Process::default());
                processes.len() - 1
            });
            processes[place].members.insert((0, member));
            process.push(place);
        }
        let order = processes.iter().enumerate().map(|(place, process)| (process.share(), place)).collect();
        Self { counts: vec![0; process.len()], process, processes, order }
    }

    /// How many tasks a member has.
    pub(super) fn of(&self, member: usize) -> usize {
        self.counts[member]
    }

    pub(super) fn process_of(&self, member: usize) -> &Process {
        &self.processes[self.process[member]]
    }

    /// By what members are compared: their process counts first.
    pub(super) fn key(&self, member: usize) -> (Share, usize) {
        (self.process_of(member).share(), self.counts[member])
    }

    /// Gives a member a task; also tells how many it has now.
    pub(super) fn add(&mut self, member: usize, task: &Task) -> usize {
        let place = self.process[member];
        let process = &mut self.processes[place];
        self.order.remove(&(process.share(), place));
        process.members.remove(&(self.counts[member], member));
        self.counts[member] += 1;
        process.members.insert((self.counts[member], member));
        process.tasks.insert(task.clone());
        process.count += 1;
        self.order.insert((process.share(), place));
        self.counts[member]
    }

    /// The member with the least to do, of the process with the least to do among those that `which` says.
    pub(super) fn least(&self, which: impl Fn(&Process) -> bool) -> Option<usize> {
        let mut processes = self.order.iter().map(|(_, place)| &self.processes[*place]);
        let process = processes.find(|process| which(process))?;
        process.members.first().map(|(_, member)| *member)
    }
}
