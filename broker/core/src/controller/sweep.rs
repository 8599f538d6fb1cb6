//! Puts partitions right after something else changed: a broker's state, or a configuration.

use super::Settings;
use super::partition_change::{Conditions, Election, Proposal};
use crate::BrokerId;
use crate::metadata::{Image, Partition, PartitionChange, Record, Topic};

/// Resolves proposals for a topic's partitions on one image.
pub(super) struct TopicRules<'a> {
    image: &'a Image,
    topic: &'a Topic,
    min_isr: usize,
    unclean: bool,
}

impl<'a> TopicRules<'a> {
    /// The rules for `topic` on `image`.
    pub(super) fn of(image: &'a Image, settings: &Settings, topic: &'a Topic) -> Self {
        let name = topic.name.as_str();
        let min_isr = image.min_isr(name, settings.min_insync_replicas());
        let unclean = settings.topic_value(image, name, "unclean.leader.election.enable");
        Self { image, topic, min_isr, unclean: unclean.trim().eq_ignore_ascii_case("true") }
    }

    /// min.insync.replicas of the topic.
    pub(super) fn min_isr(&self) -> usize {
        self.min_isr
    }

    /// Whether a leader may be elected that lacks committed records.
    pub(super) fn unclean(&self) -> bool {
        self.unclean
    }

    /// The next state that `proposal` comes to.
    pub(super) fn resolve(&self, mut proposal: Proposal<'_>) -> Option<Partition> {
        if self.unclean && proposal.election == Election::Clean {
            proposal.election = Election::Unclean;
        }
        let copies = proposal.replicas.clone();
        let electable = |id: BrokerId| {
            let copy = copies.iter().find(|replica| replica.broker == id);
            self.image.is_active(id) && copy.is_some_and(|replica| self.image.is_online(replica))
        };
        proposal.resolve(&Conditions { min_isr: self.min_isr, electable: &electable })
    }

    /// The record that `proposal` for partition `index` comes to.
    pub(super) fn record(&self, index: i32, before: &Partition, proposal: Proposal<'_>) -> Option<Record> {
        let after = self.resolve(proposal)?;
        let change = PartitionChange::between(before, &after);
        Some(Record::PartitionChanged { topic: self.topic.id, partition: index, change })
    }
}

/// Every change that `propose` leads to on `image`, over all partitions for which it proposes any.
pub(super) fn sweep<'a>(
    image: &'a Image,
    settings: &Settings,
    propose: impl Fn(&'a Topic, i32, &'a Partition) -> Option<Proposal<'a>>,
) -> Vec<Record> {
    let mut records = Vec::new();
    for topic in image.topics().iter() {
        // Most topics are not touched: their configuration is only looked up when one of theirs is.
        let mut rules = None;
        for (index, state) in topic.indexed() {
            let Some(proposal) = propose(topic, index, state) else { continue };
            let rules = rules.get_or_insert_with(|| TopicRules::of(image, settings, topic));
            records.extend(rules.record(index, state, proposal));
        }
    }
    records
}
