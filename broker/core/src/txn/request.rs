//! Requests of the transaction coordinator and their answers, free of wire versions.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Error, TransactionState, TransactionVersion};
use crate::{Producer, ProducerEpoch, ProducerId, Timestamp, TopicPartition};

impl Producer {
    /// Whether the coordinator must give another producer id before the next bump: the largest epoch is kept for
    /// fencing.
    pub(super) fn is_exhausted(self) -> bool {
        self.epoch.0 >= i16::MAX - 1
    }

    /// The same id in its next epoch.
    pub(super) fn bumped(self) -> Self {
        Self { epoch: ProducerEpoch(self.epoch.0.saturating_add(1)), ..self }
    }
}

/// InitProducerId of a transactional producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerId {
    /// The transactional id.
    pub transactional_id: String,
    /// After how long its transactions are to be aborted.
    pub timeout: Duration,
    /// What the producer takes itself for, when it goes on after an error (KIP-360).
    pub expected: Option<Producer>,
}

/// AddPartitionsToTxn or AddOffsetsToTxn of one transaction; also what is to be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitions {
    /// The transactional id.
    pub transactional_id: String,
    /// The producer.
    pub producer: Producer,
    /// The partitions.
    pub partitions: BTreeSet<TopicPartition>,
    /// The rules that the client follows.
    pub version: TransactionVersion,
}

/// Whether each partition asked for is part of the transaction, in their order.
pub type Verified = Vec<(TopicPartition, Result<(), Error>)>;

/// EndTxn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The transactional id.
    pub transactional_id: String,
    /// The producer.
    pub producer: Producer,
    /// To commit, or to abort.
    pub commit: bool,
    /// The rules that the client follows.
    pub version: TransactionVersion,
}

/// What DescribeTransactions tells of one transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The producer as it is now.
    pub producer: Producer,
    /// The state.
    pub state: TransactionState,
    /// The time-out of its transactions.
    pub timeout: Duration,
    /// When the open transaction began, or none.
    pub started: Timestamp,
    /// The partitions of the open transaction.
    pub partitions: BTreeSet<TopicPartition>,
}

/// Which transactional ids are listed; empty filters let all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// States, by the names that DescribeTransactions gives.
    pub states: BTreeSet<TransactionState>,
    /// Producer ids.
    pub producers: BTreeSet<ProducerId>,
    /// Only transactions that have been open for longer.
    pub open_for: Option<Duration>,
}

/// A listed transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The transactional id.
    pub transactional_id: String,
    /// Its producer id.
    pub producer: ProducerId,
    /// Its state.
    pub state: TransactionState,
}
