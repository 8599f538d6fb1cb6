//! Why a share partition does not do what a member asks.

/// The failures of acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A record is not the member's to speak of: it has it no longer, or has spoken.
    #[error("The record state is invalid. The acknowledgement of delivery could not be completed.")]
    InvalidRecordState,
    /// The request makes no sense.
    #[error("The acknowledgement batches are invalid.")]
    InvalidRequest,
    /// Another leader has taken over, or the group has begun anew.
    #[error("This broker no longer leads the share partition.")]
    Fenced,
    /// What was said could not be stored; it may have been.
    #[error("The coordinator is not available.")]
    CoordinatorNotAvailable,
    /// The partition is gone.
    #[error("This server does not host this topic-partition.")]
    UnknownTopicOrPartition,
    /// The coordinator does not take what was written: a fault of ours.
    #[error("The server experienced an unexpected error when processing the request.")]
    Unexpected,
}
