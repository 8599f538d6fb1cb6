//! The topics that the cluster keeps for itself, made when they are first needed.

use super::{NewTopic, Settings};
use crate::TopicId;

/// Committed offsets and group metadata.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Transactions.
pub const TRANSACTION_STATE: &str = "__transaction_state";

/// Whether clients may not write to the topic as they like.
pub fn is_internal(topic: &str) -> bool {
    topic == CONSUMER_OFFSETS || topic == TRANSACTION_STATE
}

/// How `topic` is to be made if it is internal.
pub fn new_internal_topic(topic: &str, id: TopicId, settings: &Settings) -> Option<NewTopic> {
    match topic {
        CONSUMER_OFFSETS => Some(consumer_offsets(id, settings)),
        TRANSACTION_STATE => Some(transaction_state(id, settings)),
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

fn configs(pairs: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}
