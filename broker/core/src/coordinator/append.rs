//! Requests and appends as a coordinator and its driver name them to each other.

use bytes::Bytes;

/// A parked request of the driver, unique while it is unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One append to the coordinator's partition; numbered upwards in the order of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// A record of a coordinator's topic in Kafka's own format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Key with its version in front.
    pub key: Bytes,
    /// Value with its version in front; none is a tombstone.
    pub value: Option<Bytes>,
}

/// Why records were **not** appended; a time-out, after which they may be, is not among these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Fewer in-sync replicas than `min.insync.replicas`.
    #[error("too few replicas are in sync")]
    NotEnoughReplicas,
    /// This broker does not lead the partition, or its log directory failed.
    #[error("the partition is not led here")]
    NotLeader,
    /// The batch is larger than the topic allows.
    #[error("the batch is too large")]
    TooLarge,
}
