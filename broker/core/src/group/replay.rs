//! The state rebuilt from records: which group a record is of, and what it makes of it. Durable offsets count here too,
//! in the order of the log.

use std::sync::Arc;

use super::consumer::{self, group::Change};
use super::coordinator::Coordinator;
use super::record::{GroupChange, OffsetChange, Record};
use super::share;
use super::streams;
use crate::ProducerId;
use crate::coordinator::{RecordError, Replayed};

/// Applies what the partition holds.
pub(super) fn replay(coordinator: &mut Coordinator, replayed: Replayed<'_>) -> Result<(), RecordError> {
    let (key, value, transaction) = match replayed {
        Replayed::Record { key, value, transaction } => (key, value, transaction),
        Replayed::TransactionEnd { producer, commit } => {
            coordinator.transaction_ended(producer, commit);
            return Ok(());
        }
    };
    match Record::decode(key, value)? {
        Some(Record::Offset(change)) => coordinator.offset_stored(change, transaction),
        Some(Record::Group(GroupChange { group, value: Some(value) })) => {
            coordinator.consumers.remove(&group);
            coordinator.shares.remove(&group);
            coordinator.streams.remove(&group);
            coordinator.group_or_new(&group).restore(value);
        }
        Some(Record::Group(GroupChange { group, value: None })) => coordinator.forget_group(&group),
        Some(Record::Consumer(record)) => coordinator.replay_consumer(record),
        Some(Record::Share(record)) => coordinator.replay_share(record),
        Some(Record::Streams(record)) => coordinator.replay_streams(record),
        None => {}
    }
    Ok(())
}

impl Coordinator {
    /// A change is durable: it counts at once, or when its transaction is committed.
    pub(super) fn offset_stored(&mut self, change: OffsetChange, transaction: Option<ProducerId>) {
        match transaction {
            None => {
                self.transactions.superseded_by(&change);
                self.apply_offset(change);
            }
            Some(producer) => self.transactions.add(producer, change),
        }
    }

    pub(super) fn transaction_ended(&mut self, producer: ProducerId, commit: bool) {
        for change in self.transactions.end(producer, commit) {
            self.apply_offset(change);
        }
    }

    /// Applies a durable change; the first offset of an unknown group makes a simple group.
    fn apply_offset(&mut self, change: OffsetChange) {
        if change.value.is_some() && !self.has_group(&change.group) {
            self.group_or_new(&change.group);
        }
        self.offsets.apply(change);
    }

    /// Applies a stored change of a group of the consumer protocol.
    fn replay_consumer(&mut self, consumer::Record { group, change }: consumer::Record) {
        match change {
            Change::Epoch(None) => {
                self.consumers.remove(&group);
                self.keep_offsets_of(&group);
            }
            change if change.is_deletion() => {
                if let Some(group) = self.consumers.get_mut(&group) {
                    group.apply(change);
                }
            }
            change => {
                if matches!(change, Change::Epoch(_)) {
                    self.groups.remove(&group);
                }
                let new = || consumer::group::Group::new(Arc::clone(&group));
                self.consumers.entry(Arc::clone(&group)).or_insert_with(new).apply(change);
            }
        }
    }

    /// A stored group was deleted, or changed its protocol. Its offsets have deletions of their own, also those that wait
    /// for the end of a transaction: of what the group was, a compacted log may not tell any more.
    pub(super) fn forget_group(&mut self, id: &Arc<str>) {
        self.groups.remove(id);
        self.keep_offsets_of(id);
    }

    /// Offsets without a group are those of a simple consumer.
    pub(super) fn keep_offsets_of(&mut self, id: &Arc<str>) {
        if self.offsets.of(id).is_some() && !self.has_group(id) {
            self.group_or_new(id);
        }
    }

    /// Applies a stored change of a streams group.
    fn replay_streams(&mut self, streams::Record { group, change }: streams::Record) {
        match change {
            streams::group::Change::Epoch(None) => {
                self.streams.remove(&group);
                self.keep_offsets_of(&group);
            }
            change if change.is_deletion() => {
                if let Some(group) = self.streams.get_mut(&group) {
                    group.apply(change);
                }
            }
            change => {
                if matches!(change, streams::group::Change::Epoch(_)) {
                    self.groups.remove(&group);
                }
                let new = || streams::group::Group::new(Arc::clone(&group));
                self.streams.entry(Arc::clone(&group)).or_insert_with(new).apply(change);
            }
        }
    }

    /// Applies a stored change of a share group.
    fn replay_share(&mut self, share::Record { group, change }: share::Record) {
        match change {
            share::group::Change::Epoch(None) => drop(self.shares.remove(&group)),
            change if change.is_deletion() => {
                if let Some(group) = self.shares.get_mut(&group) {
                    group.apply(change);
                }
            }
            change => {
                let new = || share::group::Group::new(Arc::clone(&group));
                self.shares.entry(Arc::clone(&group)).or_insert_with(new).apply(change);
            }
        }
    }
}
