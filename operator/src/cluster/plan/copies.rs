//! How many copies partitions are to have: what their KafkaTopic asks for, else as many as they have. Internal topics
//! follow the size of the cluster.

use super::{
    super::{observe::Observed, validate::ValidCluster},
    internal::InternalTopics,
};
use crate::wishes::AskedReplicas;

/// The rule for the topics of one cluster.
pub(super) struct Copies<'a> {
    internal: InternalTopics,
    asked: &'a AskedReplicas,
}

impl<'a> Copies<'a> {
    /// That of `cluster`, by what KafkaTopics ask for now.
    pub(super) fn of(cluster: &ValidCluster, observed: &'a Observed) -> Self {
        Self { internal: InternalTopics::of(cluster), asked: &observed.asked_replicas }
    }

    /// How many copies a partition of `topic` is to have that has `now`, or is on its way there. No KafkaTopic speaks for an
    /// internal topic.
    pub(super) fn wanted(&self, topic: &str, now: usize) -> usize {
        self.asked.get(topic).copied().unwrap_or_else(|| self.internal.copies(topic, now))
    }
}
