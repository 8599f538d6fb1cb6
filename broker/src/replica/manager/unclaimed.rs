//! Logs that were found at the start and that no partition has asked for yet, or that are damaged.
//!
//! Tens of thousands of them for a moment, and then none: what they took must be given back, and in large pieces.

use std::collections::HashMap;

use ottla_core::{DirectoryId, LeaderEpoch, Offset, TopicPartition};
use ottla_storage::LoadedLog;

/// A log found at the start, and where.
pub(super) struct Found {
    pub(super) directory: DirectoryId,
    pub(super) loaded: LoadedLog,
}

impl Found {
    /// What makes one of several logs of a partition the one to go on with: the later term, then the greater length. Two are
    /// equal when a move between directories was interrupted in its last step. Else one has come back: its directory was
    /// offline while the replica moved away, and another was begun elsewhere when it returned.
    pub(super) fn rank(&self, assigned: DirectoryId) -> (Option<(Option<LeaderEpoch>, Offset)>, bool) {
        let reach = self.loaded.log.as_ref().ok().map(|(log, _)| (log.latest_epoch(), log.log_end()));
        (reach, self.directory == assigned)
    }
}

/// The logs by partition.
#[derive(Default)]
pub(super) struct Unclaimed {
    /// One of each partition, in one piece of memory.
    first: HashMap<TopicPartition, Found>,
    /// Further ones, in other directories: seldom any.
    further: Vec<Found>,
}

impl Unclaimed {
    pub(super) fn add(&mut self, found: Found) {
        if let Some(earlier) = self.first.insert(found.loaded.partition.clone(), found) {
            self.further.push(earlier);
        }
    }

    /// Takes all logs of `partition`.
    pub(super) fn claim(&mut self, partition: &TopicPartition) -> Vec<Found> {
        let Some(first) = self.first.remove(partition) else { return Vec::new() };
        let further = self.further.extract_if(.., |found| found.loaded.partition == *partition);
        std::iter::once(first).chain(further).collect()
    }

    /// Takes all, and gives back the memory that they were found in.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Found> + use<> {
        let Self { first, further } = std::mem::take(self);
        first.into_values().chain(further)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Found> {
        self.first.values().chain(&self.further)
    }
}
