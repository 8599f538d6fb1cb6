//! What goes into the coordinator and what comes out. The driver performs the effects in their order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::request::{AddPartitions, Described, End, InitProducerId, ListFilter, Listed, Producer, Verified};
use super::{Error, TransactionVersion};
use crate::coordinator::{AppendError, AppendId, EncodedRecord, RequestId};
use crate::{ProducerId, TopicPartition};

/// What happens to a coordinator.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request; exactly one [`Effect::Reply`] answers it, now or later.
    Request(RequestId, Request),
    /// The record of an [`Effect::Append`] is durable (`Ok`), or was certainly not appended (`Err`).
    /// `Ok` must be reported in the order of the appends.
    Appended(AppendId, Result<(), AppendError>),
    /// The answer to [`Effect::AllocateProducerId`]: an id that nobody has had, or none could be had.
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
    /// The time of [`next_deadline`](super::Coordinator::next_deadline) has come. Harmless when early.
    Tick,
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

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a request.
    Reply(RequestId, Response),
    /// Append this record, and report [`Event::Appended`]. Appends keep their order.
    Append(AppendId, EncodedRecord),
    /// Get a producer id from the controller, and report [`Event::ProducerId`].
    AllocateProducerId,
    /// Write the marker of a transaction's end to each of the partitions, as often as it takes, and report
    /// [`Event::MarkersWritten`].
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
