//! A type of its own for every id, epoch and offset; raw integers appear only at the codec.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number!(
    /// `node.id` of a broker; the StatefulSet's ordinal on Kubernetes. −1 means none.
    BrokerId(i32)
);
number!(
    /// One uptime of a broker, given by the controller at registration: the log index of its registration record.
    BrokerEpoch(i64)
);
number!(
    /// Raised by the controller at each change of a partition's leader (KIP-101). −1 means unknown.
    LeaderEpoch(i32)
);
number!(
    /// Raised by the controller at each change of a partition's leader, ISR or replicas (KIP-497).
    PartitionEpoch(i32)
);
number!(
    /// Position of an entry in the metadata log, from 0.
    LogIndex(u64)
);
number!(
    /// One reign of a controller: the log index of its first entry.
    ControllerEpoch(u64)
);
number!(
    /// Position of a record in a partition, from 0. −1 means none.
    Offset(i64)
);
number!(
    /// Raised by the group coordinator each time a share group begins anew with a partition (KIP-932). −1 means unknown.
    StateEpoch(i32)
);
number!(
    /// Identity of an idempotent or transactional producer (KIP-98). −1 means none.
    ProducerId(i64)
);
number!(
    /// Fences older instances of a producer id. −1 means none.
    ProducerEpoch(i16)
);

impl BrokerId {
    /// No broker: a partition without a leader.
    pub const NONE: Self = Self(-1);
}

impl LeaderEpoch {
    /// The epoch is not known or not given.
    pub const NONE: Self = Self(-1);

    /// The epoch of the next change of leader; saturates.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl StateEpoch {
    /// The epoch is not given.
    pub const NONE: Self = Self(-1);
}

impl PartitionEpoch {
    /// The epoch of the next change; saturates.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl LogIndex {
    /// The index of the entry after this one; saturates.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl BrokerEpoch {
    /// No epoch: a broker that was never registered.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// The batch carries no producer id.
    pub const NONE: Self = Self(-1);
}

/// One instance of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

impl Offset {
    /// The start of a log.
    pub const ZERO: Self = Self(0);

    /// The offset `count` records further on; saturates at the end of the offset space.
    #[must_use]
    pub fn plus(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The all-zero id, which stands for "none" on the wire.
            pub const ZERO: Self = Self(Uuid::nil());
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

identity!(
    /// Identity of a topic across deletion and re-creation (KIP-516).
    TopicId
);
identity!(
    /// Identity of one log directory (KIP-858), made when it is formatted; with the node id, of a metadata voter (KIP-853).
    DirectoryId
);

/// A valid topic name: 1 to 249 characters of `[a-zA-Z0-9._-]`, neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The longest name: with the partition suffix it still fits a file name of 255 bytes.
    pub const MAX_LENGTH: usize = 249;

    /// Checks `name` and takes it.
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        let reason = if name.is_empty() {
            "it is empty"
        } else if name == "." || name == ".." {
            "'.' and '..' are not allowed"
        } else if name.len() > Self::MAX_LENGTH {
            "it is longer than 249 characters"
        } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            "it has a character other than ASCII letters, digits, '.', '_' and '-'"
        } else {
            return Ok(Self(name.into()));
        };
        Err(InvalidTopicName { name: name.chars().take(Self::MAX_LENGTH + 1).collect(), reason })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TopicName {
    type Error = InvalidTopicName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.as_str().to_owned()
    }
}

/// Why a topic name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic name '{name}' is invalid: {reason}")]
pub struct InvalidTopicName {
    /// The name, cut after 250 characters.
    pub name: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A partition by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// Index of the partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: TopicName, partition: i32) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    /// `topic-partition`: also the name of its folder in a log directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_follow_kafka_rules() {
        for good in ["a", "a.b_c-D9", &"x".repeat(249)] {
            assert!(TopicName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(TopicName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_partition_is_displayed_as_its_folder_name() {
        let topic = TopicName::new("my-topic").unwrap();
        assert_eq!(TopicPartition::new(topic, 7).to_string(), "my-topic-7");
    }
}
