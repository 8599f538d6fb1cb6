//! Offsets that wait for the end of a transaction (KIP-98): durable, and counted only once it is committed.
//!
//! Of one partition's offsets the last in the log counts, whenever transactions end: compaction leaves only that one, and a
//! coordinator that loads must come to the same.

use std::collections::{BTreeMap, BTreeSet};

use super::record::OffsetChange;
use crate::{ProducerId, TopicName};

/// An offset that waits, and its place in the order of the log.
#[derive(Debug)]
struct Waiting {
    place: u64,
    change: OffsetChange,
}

/// The open transactions that have committed offsets to this coordinator's partition.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// In the order of the log.
    open: BTreeMap<ProducerId, Vec<Waiting>>,
    next_place: u64,
}

impl Transactions {
    /// An offset of a transaction is durable.
    pub(super) fn add(&mut self, producer: ProducerId, change: OffsetChange) {
        let place = self.next_place;
        self.next_place += 1;
        self.open.entry(producer).or_default().push(Waiting { place, change });
    }

    /// The transaction of `producer` has ended: gives what counts by that, in the order of the log.
    pub(super) fn end(&mut self, producer: ProducerId, commit: bool) -> Vec<OffsetChange> {
        let mut ended = self.open.remove(&producer).unwrap_or_default();
        if !commit {
            return Vec::new();
        }
        for Waiting { place, change } in &ended {
            self.supersede(change, *place);
        }
        ended.drain(..).map(|waiting| waiting.change).collect()
    }

    /// A change that waits for nothing is durable: what waits for the same offset is older.
    pub(super) fn superseded_by(&mut self, change: &OffsetChange) {
        if !self.open.is_empty() {
            self.supersede(change, self.next_place);
        }
    }

    /// Forgets what waits for the same offset as `change` and stands before `place`.
    fn supersede(&mut self, change: &OffsetChange, place: u64) {
        let is_same = |other: &OffsetChange| {
            other.partition == change.partition && other.group == change.group && other.topic == change.topic
        };
        self.open.retain(|_, waiting| {
            waiting.retain(|one| one.place >= place || !is_same(&one.change));
            !waiting.is_empty()
        });
    }

    /// The partitions of `group` whose offset is about to change.
    pub(super) fn offsets_of(&self, group: &str) -> BTreeSet<(&TopicName, i32)> {
        let changes = self.changes().filter(|change| *change.group == *group);
        changes.map(|change| (&change.topic, change.partition)).collect()
    }

    /// Whether there are any of `group`.
    pub(super) fn has_offsets_of(&self, group: &str) -> bool {
        self.changes().any(|change| *change.group == *group)
    }

    /// All that waits.
    pub(super) fn changes(&self) -> impl Iterator<Item = &OffsetChange> {
        self.open.values().flatten().map(|waiting| &waiting.change)
    }
}
