//! Requests and appends as a coordinator and its driver name them to each other.

use bytes::Bytes;

use crate::{Producer, ProducerId};

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

/// What a log gives for the first batch of a transaction to show at its append. It counts until the producer's next
/// marker, so that a batch which was held up cannot begin a transaction that nobody ends (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification(pub u64);

/// The transaction that records are part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InTransaction {
    /// The producer.
    pub producer: Producer,
    /// That its coordinator has confirmed the transaction; none if it had begun in this partition.
    pub verified: Option<Verification>,
}

/// Records to be appended as one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// The records.
    pub records: Vec<EncodedRecord>,
    /// The transaction, if they are part of one.
    pub transaction: Option<InTransaction>,
}

impl From<Vec<EncodedRecord>> for NewBatch {
    /// A batch that is part of no transaction.
    fn from(records: Vec<EncodedRecord>) -> Self {
        Self { records, transaction: None }
    }
}

/// What the log of a coordinator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed<'a> {
    /// A record.
    Record {
        /// The key.
        key: &'a [u8],
        /// The value; none is a tombstone.
        value: Option<&'a [u8]>,
        /// The producer of the transaction that it is part of.
        transaction: Option<ProducerId>,
    },
    /// The marker of a transaction.
    TransactionEnd {
        /// The producer.
        producer: ProducerId,
        /// Committed, or aborted.
        commit: bool,
    },
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
    /// A newer instance of the transaction's producer has written to the partition.
    #[error("the producer's epoch is not the newest")]
    InvalidProducerEpoch,
    /// The transaction has ended since it was verified.
    #[error("the transaction is not known to be open")]
    NotVerified,
}
