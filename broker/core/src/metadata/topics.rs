//! The topics of an image, found by name, by id, and by the name that would collide.

use std::sync::Arc;

use super::shards::Shards;
use super::{Partition, PartitionChange};
use crate::{TopicId, TopicName};

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
    /// Its partitions by index.
    pub partitions: Vec<Arc<Partition>>,
}

impl Topic {
    /// The partition with `index`.
    pub fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// The partitions with their indexes.
    pub fn indexed(&self) -> impl Iterator<Item = (i32, &Arc<Partition>)> {
        (0..).zip(&self.partitions)
    }
}

/// Every topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    by_id: Shards<TopicId, Arc<Topic>>,
    by_name: Shards<TopicName, TopicId>,
    /// Names with '.' or '_' by the form in which the two are the same, since Kafka's metrics cannot tell them apart.
    by_metric_name: Shards<String, TopicName>,
}

impl Topics {
    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The topic `name`.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name).and_then(|id| self.by_id.get(id))
    }

    /// The topic with `id`.
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// Every topic, in a fixed order that means nothing.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_id.iter().map(|(_, topic)| topic)
    }

    /// The topic whose name differs from `name` only in '.' for '_' or the reverse, or not at all.
    pub fn colliding_with(&self, name: &TopicName) -> Option<&TopicName> {
        self.by_metric_name.get(&metric_name(name)?)
    }

    /// What differs between two sets of topics, as pairs of before and after; found without looking at what they share.
    pub fn differences<'a>(
        old: &'a Self,
        new: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a Arc<Topic>>, Option<&'a Arc<Topic>>)> {
        let pairs = Shards::candidates(&old.by_id, &new.by_id).map(|(_, before, after)| (before, after));
        pairs.filter(|pair| !matches!(pair, (Some(before), Some(after)) if Arc::ptr_eq(before, after)))
    }

    /// Adds a topic without partitions. False when name or id is taken.
    pub(super) fn create(&mut self, name: &TopicName, id: TopicId) -> bool {
        if self.by_name.get(name.as_str()).is_some() || self.by_id.get(&id).is_some() {
            return false;
        }
        if let Some(metric_name) = metric_name(name) {
            self.by_metric_name.insert(metric_name, name.clone());
        }
        self.by_name.insert(name.clone(), id);
        self.by_id.insert(id, Arc::new(Topic { name: name.clone(), id, partitions: Vec::new() }));
        true
    }

    /// Takes a topic away, if it is there.
    pub(super) fn delete(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(topic.name.as_str());
        if let Some(metric_name) = metric_name(&topic.name) {
            self.by_metric_name.remove(&metric_name);
        }
        Some(topic)
    }

    /// Adds the next partition. False when the topic is unknown or the index is not the next.
    pub(super) fn add_partition(&mut self, topic: TopicId, index: i32, state: &Arc<Partition>) -> bool {
        let Some(topic) = self.by_id.get_mut(&topic) else { return false };
        if usize::try_from(index) != Ok(topic.partitions.len()) {
            return false;
        }
        Arc::make_mut(topic).partitions.push(Arc::clone(state));
        true
    }

    /// Changes a partition. False when there is none such.
    pub(super) fn change_partition(&mut self, topic: TopicId, index: i32, change: &PartitionChange) -> bool {
        let Ok(index) = usize::try_from(index) else { return false };
        let Some(topic) = self.by_id.get_mut(&topic) else { return false };
        let Some(partition) = Arc::make_mut(topic).partitions.get_mut(index) else { return false };
        change.apply_to(Arc::make_mut(partition));
        true
    }
}

/// The name as Kafka's metrics write it; `None` when that is the name itself and nothing can collide.
fn metric_name(name: &TopicName) -> Option<String> {
    name.as_str().contains(['.', '_']).then(|| name.as_str().replace('.', "_"))
}
