//! A member of a streams group.

use std::collections::BTreeMap;
use std::time::Duration;

use super::request::Endpoint;
use super::tasks::{Task, TaskSets};

/// What a member says of itself, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) topology_epoch: i32,
    pub(crate) process_id: String,
    pub(crate) user_endpoint: Option<Endpoint>,
    pub(crate) client_tags: BTreeMap<String, String>,
}

/// How far a member has come towards its target; numbered as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has its target of its epoch.
    #[default]
    Stable = 1,
    /// It has to give tasks up first.
    UnrevokedTasks = 2,
    /// It waits for tasks that others have to give up.
    UnreleasedTasks = 3,
    /// A release to come stored something else: the member begins anew.
    Unknown = 127,
}

impl Progress {
    pub(crate) fn from_number(number: i8) -> Self {
        match number {
            1 => Self::Stable,
            2 => Self::UnrevokedTasks,
            3 => Self::UnreleasedTasks,
            _ => Self::Unknown,
        }
    }
}

/// Where a member stands, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) epoch: i32,
    /// The epoch before, which the member goes on with when the answer with the new one was lost.
    pub(crate) previous_epoch: i32,
    pub(crate) progress: Progress,
    /// What it may work on.
    pub(crate) assigned: TaskSets,
    /// What it has to give up, and still owns until it says that it does not.
    pub(crate) revoking: TaskSets,
    /// The epoch in which it got each active task that it has, so that late commits of a former owner are known.
    pub(crate) since: BTreeMap<Task, i32>,
}

impl Current {
    /// Whether it has what it is to have in `target_epoch`.
    pub(crate) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == target_epoch
    }

    /// The same in another epoch; the one before is remembered when it differs.
    pub(crate) fn in_epoch(&self, epoch: i32) -> Self {
        let previous_epoch = if epoch == self.epoch { self.previous_epoch } else { self.epoch };
        Self { epoch, previous_epoch, ..self.clone() }
    }

    /// Notes the epoch of active tasks that have none yet, and forgets those that are gone.
    pub(crate) fn date(mut self) -> Self {
        let active = self.assigned.active.iter().chain(self.revoking.active.iter());
        let dated = active.map(|(subtopology, partition)| {
            let task = (subtopology.clone(), partition);
            let since = self.since.get(&task).copied().unwrap_or(self.epoch);
            (task, since)
        });
        self.since = dated.collect();
        self
    }

    /// Takes a task out of all that it has.
    pub(crate) fn lose_active(&mut self, task: &Task) {
        for sets in [&mut self.assigned, &mut self.revoking] {
            sets.active.remove(&task.0, task.1);
        }
        self.since.remove(task);
    }
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) profile: Profile,
    pub(crate) current: Current,
    /// What it is to have.
    pub(crate) target: TaskSets,
}
