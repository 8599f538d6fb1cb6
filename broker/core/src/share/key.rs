//! Names a partition as one group reads it.

use crate::TopicId;

/// A share partition: what one group makes of one partition. Ordered by the topic first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The topic.
    pub topic: TopicId,
    /// Index of the partition.
    pub partition: i32,
    /// The group.
    pub group: String,
}

impl Key {
    /// The share partition of `group` in partition `partition` of `topic`.
    pub fn new(group: &str, topic: TopicId, partition: i32) -> Self {
        Self { topic, partition, group: group.to_owned() }
    }
}
