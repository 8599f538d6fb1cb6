//! One instance of a transactional producer: a client of its own, and what it was given by InitProducerId.
//!
//! Every attempt is a request of its own, so that it is known whether all of them were answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use ottla_protocol::client::{Client, ClientConfig, Error};
use ottla_protocol::codec::Records;
use ottla_protocol::messages::add_partitions_to_txn::AddPartitionsToTxnTopic;
use ottla_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::txn_offset_commit::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use ottla_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, EndTxnResponse, InitProducerIdRequest, OffsetFetchRequest,
    ProduceRequest, TxnOffsetCommitRequest,
};
use ottla_protocol::{ApiKey, ErrorCode};
use ottla_records::{Attributes, BatchBuilder, Compression, ProducerStamp};

use crate::history::{Append, Begun, Decision, End, Event, Outcome, Session, Transactor};
use crate::process::quick_client;
use crate::workload::{Payload, Place, Shared};

/// The group of those that copy.
const COPIERS: &str = "nemesis-copiers";
/// After how long the coordinator aborts a transaction.
pub(super) const TIME_OUT: Duration = Duration::from_secs(4);
/// For one attempt, and the pause before a second one within the client: there is none.
const ONCE: Duration = Duration::from_millis(1500);
const NEVER: Duration = Duration::from_secs(2);
/// Between attempts.
const BACKOFF: Duration = Duration::from_millis(20);
/// For all attempts of one call. The outcome of an EndTxn is worth waiting for.
const DEADLINE: Duration = Duration::from_secs(6);
const DEADLINE_OF_END: Duration = Duration::from_secs(30);
/// For the first connection.
const CONNECTING: Duration = Duration::from_secs(60);
/// How long the broker may wait for replicas before it says that it did.
const ACK_TIME_OUT: Duration = Duration::from_millis(1400);

/// The last versions by the rules of version 1 of transactions.
const OF_VERSION_1: [(ApiKey, i16); 3] = [(ApiKey::Produce, 11), (ApiKey::EndTxn, 4), (ApiKey::AddPartitionsToTxn, 3)];

/// See the module.
pub(super) struct Instance {
    shared: Shared,
    transactor: Transactor,
    transactional_id: String,
    client: Client,
    session: Option<Session>,
    /// The next sequence number of each partition.
    sequences: BTreeMap<i32, i32>,
}

impl Instance {
    /// One that has not begun.
    pub(super) async fn new(shared: &Shared, transactor: &Transactor) -> anyhow::Result<Self> {
        let max_versions = if transactor.version < 2 { OF_VERSION_1.to_vec() } else { Vec::new() };
        let quick = quick_client(CONNECTING);
        let config = ClientConfig { retry_backoff: NEVER, retry_backoff_max: NEVER, max_versions, ..quick };
        Ok(Self {
            shared: shared.clone(),
            transactor: transactor.clone(),
            transactional_id: format!("transactor-{}", transactor.id),
            client: shared.client(config).await?.with_deadline(ONCE),
            session: None,
            sequences: BTreeMap::new(),
        })
    }

    /// Another instance of the same producer, with connections of its own.
    pub(super) async fn successor(&self) -> anyhow::Result<Self> {
        Self::new(&self.shared, &self.transactor).await
    }

    /// What it is in its next transaction; `None` before it has begun.
    pub(super) fn session(&self) -> Option<Session> {
        self.session
    }

    /// Has it begin anew before its next transaction.
    pub(super) fn forget(&mut self) {
        self.session = None;
    }

    /// Begins, which fences every earlier instance. False if that could not be had in time.
    pub(super) async fn begin(&mut self) -> bool {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.transactional_id.as_str().into()),
            transaction_timeout_ms: TIME_OUT.as_millis() as i32,
            ..Default::default()
        };
        let deadline = Instant::now() + DEADLINE_OF_END;
        while !self.shared.stopped() && Instant::now() < deadline {
            let invoked = self.shared.recorder.now();
            let answer = self.client.send_to_transaction_coordinator(&self.transactional_id, &request).await;
            if let Ok(given) = answer
                && given.error_code.is_none()
            {
                let session = (given.producer_id, given.producer_epoch);
                let (producer, completed) = (self.transactor.id, self.shared.recorder.now());
                self.shared.recorder.record(Event::Begun(Begun { producer, session, invoked, completed }));
                self.go_on_as(session);
                return true;
            }
            tokio::time::sleep(BACKOFF).await;
        }
        false
    }

    fn go_on_as(&mut self, session: Session) {
        self.session = Some(session);
        self.sequences.clear();
    }

    /// With version 1 the partitions are told to the coordinator before they are written to. False if it did not take
    /// them.
    pub(super) async fn add_partitions<'p>(&self, places: impl Iterator<Item = &'p Place>) -> bool {
        if self.transactor.version >= 2 {
            return true;
        }
        let Some((producer_id, producer_epoch)) = self.session else { return false };
        let mut topics: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
        for place in places {
            topics.entry(place.topic).or_default().insert(place.index);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| AddPartitionsToTxnTopic {
            name: topic.into(),
            partitions: partitions.into_iter().collect(),
        });
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.as_str().into(),
            v3_and_below_producer_id: producer_id,
            v3_and_below_producer_epoch: producer_epoch,
            v3_and_below_topics: topics.collect(),
            ..Default::default()
        };
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let answer = self.client.send_to_transaction_coordinator(&self.transactional_id, &request).await;
            let results = answer.map(|answer| answer.results_by_topic_v3_and_below);
            let codes = results.into_iter().flatten().flat_map(|topic| topic.results_by_partition);
            let codes: Vec<ErrorCode> = codes.map(|partition| partition.partition_error_code).collect();
            if codes.iter().any(|code| code.is_error() && !code.is_retriable()) {
                return false;
            }
            if !codes.is_empty() && codes.iter().all(|code| code.is_none()) {
                return true;
            }
            tokio::time::sleep(BACKOFF).await;
        }
        false
    }

    /// Appends records of a transaction to a partition, from number `first` on.
    pub(super) async fn append(&mut self, transaction: u32, place: &Place, first: u64, count: u32) -> Append {
        let invoked = self.shared.recorder.now();
        let outcome = match self.batch(transaction, place, first, count) {
            Some(batch) => self.produce(place, batch).await,
            None => Outcome::Unknown("the producer has not begun".into()),
        };
        if !matches!(outcome, Outcome::Unknown(_)) {
            *self.sequences.entry(place.number).or_insert(0) += count.cast_signed();
        }
        Append { partition: place.number, first, count, invoked, completed: self.shared.recorder.now(), outcome }
    }

    fn batch(&self, transaction: u32, place: &Place, first: u64, count: u32) -> Option<Bytes> {
        let (id, epoch) = self.session?;
        let base_sequence = self.sequences.get(&place.number).copied().unwrap_or(0);
        let mut builder = BatchBuilder::new(Compression::None)
            .with_producer(ProducerStamp { id, epoch, base_sequence })
            .with_attributes(Attributes::default().transactional());
        for number in first..first + u64::from(count) {
            let payload = Payload { writer: transaction, partition: place.number, number };
            builder.append(1_000_000, None, Some(&payload.encode()), &[]);
        }
        Some(builder.build(0))
    }

    async fn produce(&self, place: &Place, batch: Bytes) -> Outcome {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let what = match self.produce_once(place, &batch).await {
                Ok((ErrorCode::NONE, offset)) if offset >= 0 => return Outcome::Acked(offset),
                Ok((ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER, _)) => return Outcome::Duplicate,
                Ok((code, _)) if !code.is_retriable() => return Outcome::Unknown(format!("{code:?}")),
                Ok((code, _)) => format!("{code:?}"),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Outcome::Unknown(what);
            }
            tokio::time::sleep(BACKOFF).await;
        }
    }

    async fn produce_once(&self, place: &Place, batch: &Bytes) -> anyhow::Result<(ErrorCode, i64)> {
        let topic_id = self.client.topic(place.topic).await?.id;
        let data = PartitionProduceData { index: place.index, records: Some(Records::Bytes(batch.clone())) };
        let topic = TopicProduceData { name: place.topic.into(), topic_id, partition_data: vec![data] };
        let request = ProduceRequest {
            transactional_id: Some(self.transactional_id.as_str().into()),
            acks: -1,
            timeout_ms: ACK_TIME_OUT.as_millis() as i32,
            topic_data: vec![topic],
        };
        let answer = self.client.send_to_leader(place.topic, place.index, &request).await?;
        let answer = answer.responses.into_iter().flat_map(|topic| topic.partition_responses).next();
        let answer = answer.context("the answer lacks the partition")?;
        Ok((answer.error_code, answer.base_offset))
    }

    /// Commits, as part of the transaction, where the group of copiers stands in a partition. False if that was not acked.
    pub(super) async fn commit_offset(&self, place: &Place, offset: i64) -> bool {
        let Some((producer_id, producer_epoch)) = self.session else { return false };
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: place.index,
            committed_offset: offset,
            ..Default::default()
        };
        let topic = TxnOffsetCommitRequestTopic { name: place.topic.into(), partitions: vec![partition] };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.as_str().into(),
            group_id: COPIERS.into(),
            producer_id,
            producer_epoch,
            topics: vec![topic],
            ..Default::default()
        };
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let answer = self.client.send_to_coordinator(COPIERS, &request).await;
            let partitions = answer.into_iter().flat_map(|answer| answer.topics).flat_map(|topic| topic.partitions);
            match partitions.map(|partition| partition.error_code).next() {
                Some(ErrorCode::NONE) => return true,
                Some(code) if !code.is_retriable() => return false,
                Some(_) | None => tokio::time::sleep(BACKOFF).await,
            }
        }
        false
    }

    /// Where the group of copiers stands in a partition, once no transaction is open that may change it.
    pub(super) async fn committed_offset(&self, place: &Place) -> Option<i64> {
        let topic = OffsetFetchRequestTopics {
            name: place.topic.into(),
            topic_id: self.client.topic(place.topic).await.ok()?.id,
            partition_indexes: vec![place.index],
        };
        let group =
            OffsetFetchRequestGroup { group_id: COPIERS.into(), topics: Some(vec![topic]), ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() };
        let answer = self.client.send_to_coordinator(COPIERS, &request).await.ok()?;
        let group = answer.groups.into_iter().next().filter(|group| group.error_code.is_none())?;
        let partition = group.topics.into_iter().flat_map(|topic| topic.partitions).next()?;
        partition.error_code.is_none().then_some(partition.committed_offset.max(0))
    }

    /// Asks to end the transaction. Then it is ready for the next one, or has to begin anew.
    pub(super) async fn end(&mut self, commit: bool) -> End {
        let invoked = self.shared.recorder.now();
        let mut attempts = 0;
        let outcome = match self.session.take() {
            Some(session) => self.try_to_end(session, commit, &mut attempts).await,
            None => Err(Decision::Unknown("the producer has not begun".into())),
        };
        let completed = self.shared.recorder.now();
        let outcome = match outcome {
            Err(outcome) => outcome,
            Ok(next) => {
                // With version 1 an attempt that comes late would end the next transaction of this epoch (KIP-890).
                if self.transactor.version >= 2 {
                    self.go_on_as(next);
                } else if attempts == 1 {
                    self.session = Some(next);
                }
                Decision::Acked
            }
        };
        End { commit, invoked, completed, outcome }
    }

    async fn try_to_end(&self, session: Session, commit: bool, attempts: &mut u32) -> Result<Session, Decision> {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.as_str().into(),
            producer_id: session.0,
            producer_epoch: session.1,
            committed: commit,
        };
        let deadline = Instant::now() + DEADLINE_OF_END;
        let mut is_open = false;
        loop {
            *attempts += 1;
            let answer = self.client.send_to_transaction_coordinator(&self.transactional_id, &request).await;
            let what = match answer {
                Ok(answer) if answer.error_code.is_none() => return Ok(successor(session, &answer)),
                Ok(EndTxnResponse { error_code, .. }) => {
                    if !error_code.is_retriable() {
                        let what = format!("{error_code:?}");
                        return Err(if is_open { Decision::Unknown(what) } else { Decision::Refused(what) });
                    }
                    is_open |= may_have_been_taken(error_code);
                    format!("{error_code:?}")
                }
                Err(error) => {
                    is_open |= !matches!(error, Error::Connect { .. });
                    error.to_string()
                }
            };
            if Instant::now() >= deadline {
                return Err(Decision::Unknown(what));
            }
            tokio::time::sleep(BACKOFF).await;
        }
    }
}

/// The epoch after this transaction, which the answer names by the rules of version 2.
fn successor(session: Session, answer: &EndTxnResponse) -> Session {
    if answer.producer_id < 0 { session } else { (answer.producer_id, answer.producer_epoch) }
}

/// Whether the coordinator may have decided, or decide yet, what it answers with this error.
fn may_have_been_taken(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::CONCURRENT_TRANSACTIONS | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
}
