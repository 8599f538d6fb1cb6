//! A produce that begins transactions in some partitions: their coordinator is asked before anything is appended (KIP-890).

use std::collections::{BTreeSet, HashMap};

use ottla_core::coordinator::Verification;
use ottla_core::txn::{AddPartitions, TransactionVersion};
use ottla_core::{Now, Producer, TopicId, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Records;
use ottla_protocol::messages::produce::ProduceRequest;
use ottla_records::BatchHeader;

use crate::api::Context;
use crate::api::transactions::{abortable_since, producer};
use crate::txn;

/// The first version whose clients leave it to the broker to make partitions part of the transaction.
const V2_SINCE: i16 = 12;
/// The first version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 11;

/// What speaks against, or for, the first batch of a transaction in each partition.
pub(super) type Confirmed = HashMap<TopicPartition, Result<Verification, ErrorCode>>;

/// What the coordinator has to be asked about.
pub(super) struct Unconfirmed {
    transactional_id: String,
    producer: Producer,
    partitions: HashMap<TopicPartition, Verification>,
}

impl Unconfirmed {
    /// None if the request begins no transaction in any partition that is led here.
    pub(super) fn of(context: &Context, request: &ProduceRequest, now: Now) -> Option<Self> {
        let transactional_id = request.transactional_id.as_deref()?;
        let topics = context.broker.replicas.topics();
        let mut found: Option<Self> = None;
        for asked in &request.topic_data {
            let by_id = context.version >= 13;
            let topic = if by_id { topics.by_id(TopicId(asked.topic_id)) } else { topics.by_name(&asked.name) };
            let Some(topic) = topic else { continue };
            for data in &asked.partition_data {
                let Some(Records::Bytes(bytes)) = &data.records else { continue };
                let Some(writer) = transactional_producer(bytes) else { continue };
                let Some(partition) = topic.partition(data.index) else { continue };
                // What cannot be told will be refused by the append.
                let Ok(Some(verification)) = partition.begin_verification(writer, now) else { continue };
                let found = found.get_or_insert_with(|| Self {
                    transactional_id: transactional_id.to_owned(),
                    producer: writer,
                    partitions: HashMap::new(),
                });
                if found.producer == writer {
                    found.partitions.insert(partition.id().clone(), verification);
                }
            }
        }
        found
    }

    /// Asks the coordinator.
    pub(super) async fn confirm(self, context: &Context) -> Confirmed {
        let partitions: BTreeSet<TopicPartition> = self.partitions.keys().cloned().collect();
        let version = if context.version >= V2_SINCE { TransactionVersion::V2 } else { TransactionVersion::V1 };
        let Self { transactional_id, producer, .. } = self;
        let add = AddPartitions { transactional_id, producer, partitions, version };
        let refused = txn::confirm(&context.broker, add).await;
        let confirmed = self.partitions.into_iter().map(|(partition, verification)| {
            let result =
                refused.get(&partition).map_or(Ok(verification), |code| Err(for_produce(*code, context.version)));
            (partition, result)
        });
        confirmed.collect()
    }
}

/// The producer of a batch that is part of a transaction.
pub(super) fn transactional_producer(batch: &[u8]) -> Option<Producer> {
    let header = BatchHeader::parse(batch).ok().filter(|header| header.attributes.is_transactional())?;
    Some(producer(header.producer_id, header.producer_epoch))
}

/// The code for a producer, which knows nothing of coordinators here: what passes has it send the batch again.
fn for_produce(code: ErrorCode, version: i16) -> ErrorCode {
    match code {
        ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => {
            ErrorCode::NOT_ENOUGH_REPLICAS
        }
        ErrorCode::CONCURRENT_TRANSACTIONS if version < V2_SINCE => ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        code => abortable_since(ABORTABLE_SINCE, version, code),
    }
}
