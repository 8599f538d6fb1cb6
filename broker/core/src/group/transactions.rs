//! Offsets that wait for the end of a transaction (KIP-98): durable, and counted only once it is committed.

use std::collections::{BTreeMap, BTreeSet};

use super::record::OffsetChange;
use crate::{ProducerId, TopicName};

/// The open transactions that have committed offsets to this coordinator's partition.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// In the order of the log.
    open: BTreeMap<ProducerId, Vec<OffsetChange>>,
}

impl Transactions {
    /// Offsets of a transaction are durable.
    pub(super) fn add(&mut self, producer: ProducerId, changes: impl IntoIterator<Item = OffsetChange>) {
        self.open.entry(producer).or_default().extend(changes);
    }

    /// The transaction of `producer` has ended: gives what waited for it.
    pub(super) fn end(&mut self, producer: ProducerId) -> Vec<OffsetChange> {
        self.open.remove(&producer).unwrap_or_default()
    }

    /// Forgets the offsets that `which` says.
    pub(super) fn forget(&mut self, which: impl Fn(&OffsetChange) -> bool) {
        self.open.retain(|_, changes| {
            changes.retain(|change| !which(change));
            !changes.is_empty()
        });
    }

    /// The partitions of `group` whose offset is about to change.
    pub(super) fn offsets_of(&self, group: &str) -> BTreeSet<(&TopicName, i32)> {
        let changes = self.open.values().flatten().filter(|change| *change.group == *group);
        changes.map(|change| (&change.topic, change.partition)).collect()
    }

    /// Whether there are any of `group`.
    pub(super) fn has_offsets_of(&self, group: &str) -> bool {
        self.open.values().flatten().any(|change| *change.group == *group)
    }
}
