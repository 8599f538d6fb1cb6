//! Which partitions of a share group have a state at the share coordinator. Only those that have one are assigned.

use std::collections::{BTreeMap, BTreeSet};

use crate::TopicId;
use crate::group::Partitions;
use crate::metadata::Topics;

/// What the group knows of the states of its partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct States {
    /// Those whose state is being made, or is to be made anew; one may have a state already.
    pub(crate) initializing: Partitions,
    /// Those that have a state.
    pub(crate) initialized: Partitions,
    /// Topics whose states are being deleted.
    pub(crate) deleting: BTreeSet<TopicId>,
    /// The names of all topics above.
    pub(crate) names: BTreeMap<TopicId, String>,
}

impl States {
    /// Whether nothing is known of any partition.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Partitions of the topics called `names` that exist and have no state.
    pub(crate) fn missing<'a>(&self, names: impl IntoIterator<Item = &'a str>, topics: &Topics) -> Partitions {
        let topics = names.into_iter().filter_map(|name| topics.by_name(name));
        let partitions = topics.flat_map(|topic| topic.indexed().map(|(index, _)| (topic.id, index)));
        partitions.filter(|(topic, index)| !self.initialized.contains(*topic, *index)).collect()
    }

    /// The states of these are to be made. What was to be deleted of their topics is not any more.
    pub(crate) fn begin(&mut self, partitions: &Partitions, topics: &Topics) {
        for (topic, _) in partitions.topics() {
            self.deleting.remove(&topic);
            if let Some(known) = topics.by_id(topic) {
                self.names.insert(topic, known.name.to_string());
            }
        }
        self.initializing.extend(partitions.iter());
    }

    /// An attempt to make a state has ended.
    pub(crate) fn attempted(&mut self, topic: TopicId, partition: i32, succeeded: bool) {
        self.initializing.remove(topic, partition);
        if succeeded {
            self.initialized.insert(topic, partition);
        }
        self.drop_unused_names();
    }

    /// The states of `topic` are to be deleted.
    pub(crate) fn begin_deleting(&mut self, topic: TopicId) {
        self.initializing.remove_topic(topic);
        self.initialized.remove_topic(topic);
        self.deleting.insert(topic);
    }

    /// Nothing of `topic` is left.
    pub(crate) fn forget(&mut self, topic: TopicId) {
        self.initializing.remove_topic(topic);
        self.initialized.remove_topic(topic);
        self.deleting.remove(&topic);
        self.names.remove(&topic);
    }

    /// The partitions of `topic` that may have a state; all there are of one whose deletion was not confirmed.
    pub(crate) fn deletable(&self, topic: TopicId, topics: &Topics) -> Partitions {
        let mut deletable = self.initialized.filter(|other, _| other == topic);
        deletable.extend(self.initializing.filter(|other, _| other == topic).iter());
        if self.deleting.contains(&topic)
            && let Some(known) = topics.by_id(topic)
        {
            deletable.extend(known.indexed().map(|(index, _)| (topic, index)));
        }
        deletable
    }

    /// Every topic of which there is something.
    pub(crate) fn topics(&self) -> impl Iterator<Item = TopicId> + '_ {
        self.names.keys().copied()
    }

    fn drop_unused_names(&mut self) {
        let Self { initializing, initialized, deleting, names } = self;
        names.retain(|topic, _| {
            deleting.contains(topic) || initializing.has_topic(*topic) || initialized.has_topic(*topic)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::Cluster;

    /// A cluster with these topics of two partitions, and their ids.
    fn cluster(names: &[&str]) -> (Cluster, Vec<TopicId>) {
        let mut cluster = Cluster::with_brokers(1);
        names.iter().for_each(|name| cluster.topic(name, &[&[0], &[0]], &[]));
        let ids = names.iter().map(|name| cluster.image.topics().by_name(name).unwrap().id).collect();
        (cluster, ids)
    }

    #[test]
    fn what_has_no_state_is_missing_until_an_attempt_succeeds() {
        let (cluster, ids) = cluster(&["t", "u"]);
        let topics = cluster.image.topics();
        let mut states = States::default();
        let missing = states.missing(["t", "gone"], topics);
        assert_eq!(missing, [(ids[0], 0), (ids[0], 1)].into_iter().collect());
        states.begin(&missing, topics);
        states.attempted(ids[0], 0, true);
        states.attempted(ids[0], 1, false);
        assert_eq!(states.missing(["t"], topics), [(ids[0], 1)].into_iter().collect());
        assert!(states.initializing.is_empty());
        assert_eq!(states.names, [(ids[0], "t".to_owned())].into());
    }

    #[test]
    fn what_may_have_a_state_is_deleted_and_a_deletion_that_was_not_confirmed_is_repeated_for_all() {
        let (cluster, ids) = cluster(&["t", "u"]);
        let topics = cluster.image.topics();
        let mut states = States::default();
        states.begin(&[(ids[0], 0), (ids[1], 0)].into_iter().collect(), topics);
        states.attempted(ids[1], 0, true);
        assert_eq!(states.deletable(ids[0], topics), [(ids[0], 0)].into_iter().collect());
        states.begin_deleting(ids[0]);
        assert_eq!(states.deletable(ids[0], topics), [(ids[0], 0), (ids[0], 1)].into_iter().collect());
        states.forget(ids[0]);
        assert_eq!(states.topics().collect::<Vec<_>>(), [ids[1]]);
        states.forget(ids[1]);
        assert!(states.is_empty() && states == States::default());
    }
}
