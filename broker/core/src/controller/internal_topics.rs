//! The topics that the cluster keeps for itself, made when they are first needed.

use super::{NewTopic, Settings};
use crate::TopicId;

/// Committed offsets and group metadata.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Transactions.
pub const TRANSACTION_STATE: &str = "__transaction_state";

/// What share groups have made of partitions.
pub const SHARE_GROUP_STATE: &str = "__share_group_state";

/// Whether clients may not write to the topic as they like.
pub fn is_internal(topic: &str) -> bool {
    [CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE].contains(&topic)
}

/// How `topic` is to be made if it is internal.
pub fn new_internal_topic(topic: &str, id: TopicId, settings: &Settings) -> Option<NewTopic> {
    match topic {
        CONSUMER_OFFSETS => Some(consumer_offsets(id, settings)),
        TRANSACTION_STATE => Some(transaction_state(id, settings)),
        SHARE_GROUP_STATE => Some(share_group_state(id, settings)),
        _ => None,
    }
}

fn consumer_offsets(id: TopicId, settings: &Settings) -> NewTopic {
    let segment_bytes: i64 = settings.number("offsets.topic.segment.bytes");
    NewTopic {
        partitions: settings.number("offsets.topic.num.partitions"),
        replication_factor: settings.number("offsets.topic.replication.factor"),
        configs: configs(&[
            ("cleanup.policy", "compact"),
            ("compression.type", "producer"),
            ("segment.bytes", &segment_bytes.to_string()),
        ]),
        ..NewTopic::with_defaults(CONSUMER_OFFSETS, id)
    }
}

fn transaction_state(id: TopicId, settings: &Settings) -> NewTopic {
    let segment_bytes: i64 = settings.number("transaction.state.log.segment.bytes");
    let min_isr: i64 = settings.number("transaction.state.log.min.isr");
    NewTopic {
        partitions: settings.number("transaction.state.log.num.partitions"),
        replication_factor: settings.number("transaction.state.log.replication.factor"),
        configs: configs(&[
            ("cleanup.policy", "compact"),
            ("compression.type", "uncompressed"),
            ("min.insync.replicas", &min_isr.to_string()),
            ("segment.bytes", &segment_bytes.to_string()),
            ("unclean.leader.election.enable", "false"),
        ]),
        ..NewTopic::with_defaults(TRANSACTION_STATE, id)
    }
}

/// Not compacted: the share coordinator deletes what it needs no more from the front.
fn share_group_state(id: TopicId, settings: &Settings) -> NewTopic {
    let segment_bytes: i64 = settings.number("share.coordinator.state.topic.segment.bytes");
    let min_isr: i64 = settings.number("share.coordinator.state.topic.min.isr");
    NewTopic {
        partitions: settings.number("share.coordinator.state.topic.num.partitions"),
        replication_factor: settings.number("share.coordinator.state.topic.replication.factor"),
        configs: configs(&[
            ("cleanup.policy", "delete"),
            ("compression.type", "producer"),
            ("min.insync.replicas", &min_isr.to_string()),
            ("retention.ms", "-1"),
            ("segment.bytes", &segment_bytes.to_string()),
        ]),
        ..NewTopic::with_defaults(SHARE_GROUP_STATE, id)
    }
}

fn configs(pairs: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}
