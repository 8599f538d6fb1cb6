//! The topics that have a replica here, found by name or id without copying either.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ottla_core::{TopicId, TopicName};
use parking_lot::RwLock;

use super::{Error, Partition, TopicSettings};

/// A topic as far as this broker holds it. Immutable; a change makes a new one.
#[derive(Clone)]
pub struct LocalTopic {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
    /// Its settings.
    pub settings: Arc<TopicSettings>,
    /// Its partitions by index; none where the replica is elsewhere.
    pub partitions: Vec<Option<Arc<Partition>>>,
    /// Partitions whose replica is here and cannot be served: its log is damaged, or its directory has failed.
    pub offline: BTreeSet<i32>,
}

impl LocalTopic {
    /// The partition with `index`, if a replica of it is here.
    pub fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        usize::try_from(index).ok().and_then(|index| self.partitions.get(index)?.as_ref())
    }
}

/// The index.
#[derive(Default)]
pub struct Topics {
    maps: RwLock<Maps>,
}

#[derive(Default)]
struct Maps {
    by_name: HashMap<TopicName, Arc<LocalTopic>>,
    by_id: HashMap<TopicId, Arc<LocalTopic>>,
}

impl Topics {
    /// The topic called `name`.
    pub fn by_name(&self, name: &str) -> Option<Arc<LocalTopic>> {
        self.maps.read().by_name.get(name).cloned()
    }

    /// The topic with `id`.
    pub fn by_id(&self, id: TopicId) -> Option<Arc<LocalTopic>> {
        self.maps.read().by_id.get(&id).cloned()
    }

    /// The partition `index` of the topic called `name`.
    pub fn partition(&self, name: &str, index: i32) -> Result<Arc<Partition>, Error> {
        let maps = self.maps.read();
        let found = maps.by_name.get(name).and_then(|topic| topic.partition(index));
        found.cloned().ok_or(Error::UnknownPartition)
    }

    /// Whether a replica of the partition `index` of the topic called `name` is here and cannot be served.
    pub fn is_offline(&self, name: &str, index: i32) -> bool {
        self.maps.read().by_name.get(name).is_some_and(|topic| topic.offline.contains(&index))
    }

    /// Every topic.
    pub fn all(&self) -> Vec<Arc<LocalTopic>> {
        self.maps.read().by_name.values().cloned().collect()
    }

    /// Every partition.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        let maps = self.maps.read();
        maps.by_name.values().flat_map(|topic| topic.partitions.iter().flatten()).cloned().collect()
    }

    /// Puts in topics, in place of what had their names.
    pub(super) fn put(&self, topics: impl IntoIterator<Item = LocalTopic>) {
        let mut maps = self.maps.write();
        for topic in topics {
            let topic = Arc::new(topic);
            if let Some(old) = maps.by_name.insert(topic.name.clone(), Arc::clone(&topic))
                && old.id != topic.id
            {
                maps.by_id.remove(&old.id);
            }
            maps.by_id.insert(topic.id, topic);
        }
    }

    /// Takes away the topic called `name` if it is the one with `id`.
    pub(super) fn remove(&self, name: &TopicName, id: TopicId) {
        let mut maps = self.maps.write();
        if maps.by_name.get(name).is_some_and(|topic| topic.id == id) {
            maps.by_name.remove(name);
        }
        maps.by_id.remove(&id);
    }
}
