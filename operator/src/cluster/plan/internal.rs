//! Internal topics follow the size of the cluster: their copies, and how many of these acks=all needs.
//!
//! Brokers write the minimum of in-sync replicas into the topics of transactions and of share groups when they make them, so
//! it would stay what it was for one broker; the topic of offsets has the brokers' default, which their files say.

use std::collections::BTreeMap;

use ottla_core::controller::internal_topics::{CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE, is_internal};

use super::{
    super::{build::properties, observe::Observed, validate::ValidCluster},
    Request, Step,
};
use crate::kafka::{ConfigChange, PartitionPlacement};

/// How many copies the partitions of internal topics should have, by the files of the brokers that are wanted.
#[derive(Clone, Debug)]
pub(super) struct InternalTopics {
    properties: BTreeMap<String, String>,
    brokers: usize,
}

impl InternalTopics {
    /// Those of `cluster`.
    pub(super) fn of(cluster: &ValidCluster) -> Self {
        let brokers = usize::try_from(cluster.brokers).unwrap_or(1).max(1);
        Self { properties: properties::common(cluster), brokers }
    }

    /// How many copies a partition of `topic` should have that has `now`: as many as it has, if a client made the topic;
    /// others get as many as the brokers' files say, and have fewer than now only where there are fewer brokers.
    pub(super) fn copies(&self, topic: &str, now: usize) -> usize {
        let factor = match topic {
            CONSUMER_OFFSETS => self.number("offsets.topic.replication.factor"),
            SHARE_GROUP_STATE => self.number("share.coordinator.state.topic.replication.factor"),
            _ => self.number("transaction.state.log.replication.factor"),
        };
        if is_internal(topic) { now.max(factor).min(self.brokers) } else { now }
    }

    fn number(&self, key: &str) -> usize {
        self.properties.get(key).and_then(|text| text.trim().parse().ok()).unwrap_or(1)
    }
}

/// The topics that keep a minimum of in-sync replicas of their own, with the brokers' key for it.
const WITH_MINIMUM: [(&str, &str); 2] = [
    (TRANSACTION_STATE, "transaction.state.log.min.isr"),
    (SHARE_GROUP_STATE, "share.coordinator.state.topic.min.isr"),
];

/// The setting that an internal topic lacks, once its partitions have all their copies.
pub(super) fn setting(cluster: &ValidCluster, observed: &Observed) -> Option<Step> {
    WITH_MINIMUM.into_iter().find_map(|(topic, key)| setting_of(topic, key, cluster, observed))
}

fn setting_of(name: &str, key: &str, cluster: &ValidCluster, observed: &Observed) -> Option<Step> {
    let placements = &observed.controller()?.placements;
    let topic = placements.iter().find(|topic| topic.topic == name)?;
    let topics = InternalTopics::of(cluster);
    let is_complete = |partition: &PartitionPlacement| {
        let copies = partition.target.len();
        partition.adding.is_empty() && partition.removing.is_empty() && copies == topics.copies(name, copies)
    };
    let wanted = topics.number(key);
    let is_due = topic.min_in_sync != wanted && topic.partitions.iter().all(is_complete);
    let changes = vec![ConfigChange::Set("min.insync.replicas".to_owned(), wanted.to_string())];
    is_due.then(|| Step::Ask(Request::Configure { topic: topic.topic.clone(), changes }))
}
