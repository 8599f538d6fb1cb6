//! Why a share coordinator refuses a request; the texts are Kafka's where it has one.

use crate::coordinator::AppendError;

/// The failures of requests about the state of share groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no partition below 0.
    #[error("The partition id cannot be a negative number.")]
    NegativePartition,
    /// The group's id does not fit a record's key.
    #[error("The group id is too long.")]
    GroupIdTooLong,
    /// What is written is no range of offsets, or of an unknown state.
    #[error("A state batch is invalid.")]
    InvalidBatch,
    /// The group coordinator has not begun with the share partition.
    #[error("Write operation on uninitialized share partition not allowed.")]
    WriteUninitialized,
    /// The same for a read.
    #[error("Read operation on uninitialized share partition not allowed.")]
    ReadUninitialized,
    /// A later leader of the partition has read.
    #[error("The leader epoch in the request is older than the epoch on the broker.")]
    FencedLeaderEpoch,
    /// The group has begun anew since.
    #[error("The share coordinator rejected the request because the share-group state epoch did not match.")]
    FencedStateEpoch,
    /// The partition is not there, or no more.
    #[error("This server does not host this topic-partition.")]
    UnknownTopicOrPartition,
    /// The record could not be made durable in time; it may be yet.
    #[error("The coordinator is not available.")]
    CoordinatorNotAvailable,
    /// Another broker coordinates.
    #[error("This is not the correct coordinator.")]
    NotCoordinator,
    /// The record does not fit the topic.
    #[error("The server experienced an unexpected error when processing the request.")]
    RecordTooLarge,
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NotEnoughReplicas => Self::CoordinatorNotAvailable,
            AppendError::NotLeader => Self::NotCoordinator,
            // Nothing here is written as part of a transaction.
            AppendError::TooLarge | AppendError::InvalidProducerEpoch | AppendError::NotVerified => {
                Self::RecordTooLarge
            }
        }
    }
}
