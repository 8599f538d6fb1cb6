//! Why the transaction coordinator refuses a request. Each variant has the name of one Kafka error code.

use crate::coordinator::AppendError;

/// A refusal of the transaction coordinator; the broker's API layer gives it the code of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The record could not be made durable in time, or too few replicas are in sync.
    #[error("the transaction coordinator is not available")]
    CoordinatorNotAvailable,
    /// No producer id could be had from the controller: ask again.
    #[error("the transaction coordinator has no producer id to give")]
    CoordinatorLoadInProgress,
    /// This broker no longer coordinates the transactional id.
    #[error("this broker is not the coordinator of the transactional id")]
    NotCoordinator,
    /// The transactional id is empty, or too long to be stored.
    #[error("the transactional id is invalid")]
    InvalidRequest,
    /// The time-out is not positive, or longer than `transaction.max.timeout.ms`.
    #[error("the transaction time-out is out of range")]
    InvalidTransactionTimeout,
    /// The transactional id is unknown, or has another producer id.
    #[error("the producer id is not that of the transactional id")]
    InvalidProducerIdMapping,
    /// A newer instance of the producer has taken over.
    #[error("a newer instance of the producer has taken over")]
    ProducerFenced,
    /// The transaction before is being ended: ask again.
    #[error("the transaction before is still being ended")]
    ConcurrentTransactions,
    /// The transaction cannot be ended so in its state.
    #[error("the transaction cannot be ended so in its state")]
    InvalidTxnState,
    /// The partition is not part of the transaction: it is to be aborted (KIP-890).
    #[error("the partition is not part of the transaction")]
    TransactionAbortable,
    /// No such transactional id.
    #[error("the transactional id does not exist")]
    TransactionalIdNotFound,
    /// The transaction has more partitions than a record of its topic can hold.
    #[error("the transaction cannot be stored")]
    UnknownServerError,
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NotEnoughReplicas => Self::CoordinatorNotAvailable,
            AppendError::NotLeader => Self::NotCoordinator,
            AppendError::TooLarge | AppendError::InvalidProducerEpoch | AppendError::NotVerified => {
                Self::UnknownServerError
            }
        }
    }
}
