//! What a new image means for one broker: the only thing a broker reacts to.

use std::sync::Arc;

use super::{Image, Partition, ResourceKind, Topic, Topics};
use crate::{BrokerId, DirectoryId, TopicId, TopicName, TopicPartition};

/// A partition of which this broker holds a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPartition {
    /// Its name and index.
    pub partition: TopicPartition,
    /// Identity of the topic.
    pub topic_id: TopicId,
    /// The log directory of this broker that the copy lies in; [`DirectoryId::ZERO`] when the broker may choose.
    pub directory: DirectoryId,
    /// Its state from now on.
    pub state: Arc<Partition>,
}

/// A partition of which this broker held a copy and holds none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedPartition {
    /// Its name and index.
    pub partition: TopicPartition,
    /// Identity of the topic.
    pub topic_id: TopicId,
}

/// What one broker has to do to get from one image to the next, in the order of the fields.
///
/// `delete` comes first: a topic that was deleted and made anew has the same folder names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalChanges {
    /// Copies that are this broker's no longer: their data goes.
    pub delete: Vec<RemovedPartition>,
    /// Partitions this broker leads whose state is new. An unchanged leader epoch means that leadership goes on.
    pub lead: Vec<LocalPartition>,
    /// Partitions this broker follows, or holds without a leader to follow, whose state is new.
    pub follow: Vec<LocalPartition>,
    /// Topics with a copy here whose own configuration changed.
    pub reconfigure: Vec<TopicName>,
    /// Groups whose configuration changed.
    pub groups: Vec<String>,
    /// This broker's configuration, or that of every broker, changed.
    pub broker_config: bool,
    /// A broker came, went, moved or changed its state.
    pub brokers: bool,
}

impl LocalChanges {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many partitions have something new or are gone.
    pub fn partitions(&self) -> usize {
        self.delete.len() + self.lead.len() + self.follow.len()
    }
}

/// What broker `me` has to do to get from `old` to `new`. Costs what changed, not what there is.
pub fn local_changes(old: &Image, new: &Image, me: BrokerId) -> LocalChanges {
    let mut changes = LocalChanges::default();
    for (before, after) in Topics::differences(old.topics(), new.topics()) {
        if let Some(before) = before {
            removed(before, after, me, &mut changes.delete);
        }
        if let Some(after) = after {
            assigned(before, after, me, &mut changes);
        }
    }
    changes.brokers = old.brokers() != new.brokers();
    changed_configs(old, new, me, &mut changes);
    changes
}

fn removed(before: &Topic, after: Option<&Arc<Topic>>, me: BrokerId, delete: &mut Vec<RemovedPartition>) {
    for (index, state) in before.indexed() {
        let stays = after.and_then(|topic| topic.partition(index)).is_some_and(|state| state.replica_on(me).is_some());
        if state.replica_on(me).is_some() && !stays {
            let partition = TopicPartition::new(before.name.clone(), index);
            delete.push(RemovedPartition { partition, topic_id: before.id });
        }
    }
}

fn assigned(before: Option<&Arc<Topic>>, after: &Topic, me: BrokerId, changes: &mut LocalChanges) {
    for (index, state) in after.indexed() {
        let same = before.and_then(|topic| topic.partition(index)).is_some_and(|before| before == state);
        let Some(replica) = state.replica_on(me).filter(|_| !same) else { continue };
        let local = LocalPartition {
            partition: TopicPartition::new(after.name.clone(), index),
            topic_id: after.id,
            directory: replica.directory,
            state: Arc::clone(state),
        };
        if state.leader == me { changes.lead.push(local) } else { changes.follow.push(local) }
    }
}

fn changed_configs(old: &Image, new: &Image, me: BrokerId, changes: &mut LocalChanges) {
    for resource in old.changed_configs(new) {
        match resource.kind {
            ResourceKind::Topic => {
                let topic = new.topic(&resource.name);
                let here = topic.filter(|topic| topic.partitions.iter().any(|state| state.replica_on(me).is_some()));
                changes.reconfigure.extend(here.map(|topic| topic.name.clone()));
            }
            ResourceKind::Broker => {
                changes.broker_config |= resource.name.is_empty() || resource.name == me.to_string()
            }
            // Whoever needs them looks at the image.
            ResourceKind::ClientMetrics => {}
            ResourceKind::Group => changes.groups.push(resource.name.clone()),
        }
    }
}
