//! The committed offsets of all groups, whatever kind they are of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{OffsetChange, StoredOffset};
use crate::TopicName;

/// The offsets of one group.
pub(super) type GroupOffsets = BTreeMap<TopicName, BTreeMap<i32, StoredOffset>>;

/// Durable offsets by group; a group without offsets is not in it.
#[derive(Debug, Default)]
pub(super) struct OffsetStore(BTreeMap<Arc<str>, GroupOffsets>);

impl OffsetStore {
    /// Those of one group, if it has any.
    pub(super) fn of(&self, group: &str) -> Option<&GroupOffsets> {
        self.0.get(group)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).map(|partitions| partitions.len() as u64).sum()
    }

    /// The groups that have offsets.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    /// The partitions of a group with a committed offset.
    pub(super) fn keys(&self, group: &str) -> impl Iterator<Item = (&TopicName, i32)> {
        let topics = self.0.get(group).into_iter().flatten();
        topics.flat_map(|(topic, partitions)| partitions.keys().map(move |partition| (topic, *partition)))
    }

    /// Puts, or takes away, an offset.
    pub(super) fn apply(&mut self, change: OffsetChange) {
        let OffsetChange { group, topic, partition, value } = change;
        if let Some(value) = value {
            self.0.entry(group).or_default().entry(topic).or_default().insert(partition, value);
            return;
        }
        let Some(topics) = self.0.get_mut(&group) else { return };
        if let Some(partitions) = topics.get_mut(&topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                topics.remove(&topic);
            }
        }
        if topics.is_empty() {
            self.0.remove(&group);
        }
    }
}
