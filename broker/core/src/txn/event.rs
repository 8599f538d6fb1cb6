//! What goes into the coordinator and what comes out. The driver performs the effects in their order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::request::{AddPartitions, Described, End, InitProducerId, ListFilter, Listed, Verified};
use super::{Error, TransactionVersion};
use crate::Producer;
use crate::{ProducerId, TopicPartition, coordinator};

/// What happens to a transaction coordinator.
pub type Event = coordinator::Event<Request, Note>;

/// What its driver has to do.
pub type Effect = coordinator::Effect<Response, Act>;

/// What a transaction coordinator has to know besides requests.
#[derive(Clone, Debug)]
pub enum Note {
    /// The answer to [`Act::AllocateProducerId`]: an id that nobody has had, or none could be had.
    ProducerId(Option<ProducerId>),
    /// The markers of these partitions are durable, or the partitions are gone.
    MarkersWritten {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// The producer of the markers.
        producer: Producer,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
}

/// A request about transactions. The answer is the [`Response`] of the same name.
#[derive(Clone, Debug)]
pub enum Request {
    /// InitProducerId.
    Init(InitProducerId),
    /// AddPartitionsToTxn, AddOffsetsToTxn.
    Add(AddPartitions),
    /// AddPartitionsToTxn with `verify_only`.
    Verify(AddPartitions),
    /// EndTxn.
    End(End),
    /// DescribeTransactions, one id.
    Describe(String),
    /// ListTransactions: those of this coordinator.
    List(ListFilter),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To Init: what the producer is from now on.
    Init(Result<Producer, Error>),
    /// To Add.
    Add(Result<(), Error>),
    /// To Verify: per partition, or an error that holds for every one.
    Verify(Result<Verified, Error>),
    /// To End: what the producer is from now on (KIP-890).
    End(Result<Producer, Error>),
    /// To Describe.
    Describe(Result<Described, Error>),
    /// To List.
    List(Vec<Listed>),
}

/// What a transaction coordinator needs done besides answers and appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Get a producer id from the controller, and note [`Note::ProducerId`].
    AllocateProducerId,
    /// Write the marker of a transaction's end to each of the partitions, as often as it takes, and note
    /// [`Note::MarkersWritten`].
    WriteMarkers(Markers),
}

/// The markers of one transaction's end (WriteTxnMarkers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markers {
    /// The transactional id.
    pub transactional_id: Arc<str>,
    /// The producer: with version 2 in the epoch after that of its records.
    pub producer: Producer,
    /// To commit, or to abort.
    pub commit: bool,
    /// The partitions that are still to get one.
    pub partitions: BTreeSet<TopicPartition>,
    /// The rules by which the transaction ended.
    pub version: TransactionVersion,
}
