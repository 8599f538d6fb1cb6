//! Produce (KIP-98, KIP-467, KIP-516, KIP-951): checks batches and appends them on the connection's own task.
//!
//! Direct: the order of a connection's batches is fixed when this returns. With acks=all the answer then waits for the
//! watermark while the connection's next request begins.

mod answer;
mod transaction;

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::internal_topics::is_internal;
use ottla_core::coordinator::InTransaction;
use ottla_core::partition::RequiredAcks;
use ottla_core::{Now, TopicId, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::{DecodeError, Message as _, Reader, Records};
use ottla_protocol::frame::RequestHeader;
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use tokio::time::Instant;

use super::stopwatch::Stopwatch;
use super::transactions::producer;
use super::{Context, leaders};
use crate::net::{CloseReason, FuturePending, Pending, Step};
use crate::replica::{Checked, Error, Invalid, LocalTopic, Partition, ProduceWait, check_batch, has_to_unpack};

use self::answer::{Exchange, Waiting};
use self::transaction::{Confirmed, Unconfirmed, transactional_producer};

/// Handles one request.
pub(super) fn handle(context: Context, header: &RequestHeader, mut reader: Reader) -> Result<Step, DecodeError> {
    let bytes = reader.position() + reader.remaining();
    let request = ProduceRequest::decode(&mut reader, header.api_version)?;
    let exchange = Exchange { version: header.api_version, correlation_id: header.correlation_id };
    let acks = match request.acks {
        0 => RequiredAcks::None,
        1 => RequiredAcks::Leader,
        -1 => RequiredAcks::All,
        _ => return Ok(exchange.answer(&refuse_all(&request, ErrorCode::INVALID_REQUIRED_ACKS))),
    };
    let places = request.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
    let mut produce = Produce {
        zstd_allowed: header.api_version >= 7,
        is_transactional: request.transactional_id.is_some(),
        now: context.broker.replicas.clock().now(),
        wait: (acks == RequiredAcks::All).then(|| Arc::new(ProduceWait::new(places))),
        confirmed: Confirmed::new(),
        throttle_time_ms: context.broker.quotas.produced(&context.peer, context.client_name(), bytes),
        context,
        acks,
    };
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let Some(unconfirmed) = Unconfirmed::of(&produce.context, &request, produce.now) else {
        let response = produce.run(request);
        return Ok(produce.finish(exchange, response, timeout));
    };
    // The connection's next request waits meanwhile, so that its batches keep their order.
    Ok(Step::Wait(FuturePending::boxed(async move {
        produce.confirmed = unconfirmed.confirm(&produce.context).await;
        let response = produce.run(request);
        match produce.finish(exchange, response, timeout) {
            Step::Wait(pending) => waited(pending).await,
            step => step,
        }
    })))
}

/// The answer of `pending` when it is due.
async fn waited(mut pending: Box<dyn Pending>) -> Step {
    let deadline = pending.deadline();
    let due = poll_fn(|context| pending.poll(context));
    match deadline {
        None => due.await,
        Some(deadline) => match tokio::time::timeout_at(deadline, due).await {
            Ok(step) => step,
            Err(_) => pending.expire(),
        },
    }
}

/// One request under way.
struct Produce {
    context: Context,
    acks: RequiredAcks,
    zstd_allowed: bool,
    /// The request names a transactional id.
    is_transactional: bool,
    now: Now,
    /// With acks=all: what the answer waits for.
    wait: Option<Arc<ProduceWait>>,
    /// For how long the client is held back because of its bytes.
    throttle_time_ms: i32,
    /// What coordinators have said of transactions that begin here.
    confirmed: Confirmed,
}

impl Produce {
    /// Appends what is asked for. Where nothing is answered the time that it takes does not count, as in Kafka.
    fn run(&self, request: ProduceRequest) -> ProduceResponse {
        let context = &self.context;
        let mut stopwatch = if self.acks == RequiredAcks::None { Stopwatch::default() } else { Stopwatch::of(context) };
        let responses = stopwatch.time(|| self.append(request));
        let of_time = context.broker.quotas.worked(&context.peer, context.client_name(), stopwatch.spent());
        let throttle_time_ms = self.throttle_time_ms.max(of_time);
        ProduceResponse { responses, throttle_time_ms, ..ProduceResponse::default() }
    }

    fn append(&self, request: ProduceRequest) -> Vec<TopicProduceResponse> {
        let mut place = 0;
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for topic in request.topic_data {
            let TopicProduceData { name, topic_id, partition_data, .. } = topic;
            let target = self.topic(&name, topic_id);
            let mut partitions = Vec::with_capacity(partition_data.len());
            for data in last_of_each(partition_data) {
                partitions.push(self.partition(&target, (&name, topic_id), data, place));
                place += 1;
            }
            responses.push(TopicProduceResponse { name, topic_id, partition_responses: partitions });
        }
        responses
    }

    /// The topic meant, by name before version 13 and by id from it on.
    fn topic(&self, name: &str, id: uuid::Uuid) -> Result<Option<Arc<LocalTopic>>, ErrorCode> {
        let topics = self.context.broker.replicas.topics();
        let by_id = self.context.version >= 13;
        let topic = if by_id { topics.by_id(TopicId(id)) } else { topics.by_name(name) };
        // Looked up only where nothing of the topic is here, or nothing is to be appended.
        let elsewhere = || leaders::topic(&self.context.broker.image(), name, id).map(|topic| topic.name.clone());
        if topic.is_none() && by_id && elsewhere().is_none() {
            return Err(ErrorCode::UNKNOWN_TOPIC_ID);
        }
        let known = topic.as_ref().map(|topic| topic.name.clone()).or_else(elsewhere);
        if known.is_some_and(|name| is_internal(name.as_str())) && !self.may_write_internal() {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        Ok(topic)
    }

    /// As in Kafka, which lets tools repair its internal topics under this client id.
    fn may_write_internal(&self) -> bool {
        self.context.client_id.as_deref() == Some("__admin_client")
    }

    fn partition(
        &self,
        topic: &Result<Option<Arc<LocalTopic>>, ErrorCode>,
        (name, topic_id): (&str, uuid::Uuid),
        data: PartitionProduceData,
        place: usize,
    ) -> PartitionProduceResponse {
        let index = data.index;
        let topic = match topic {
            Ok(topic) => topic.as_deref(),
            Err(code) => return answer::refused(index, *code),
        };
        let found = match topic {
            None if name.is_empty() => self.elsewhere(topic_id, index),
            topic => self.context.broker.replica(topic, name, index),
        };
        let partition = match found {
            Ok(partition) => partition,
            Err(error) => return answer::failed(index, &error, None),
        };
        let Some(topic) = topic else { return answer::refused(index, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) };
        let log_start = || Some(partition.reader().log_start());
        let records = match data.records {
            Some(Records::Bytes(bytes)) => bytes,
            _ => return answer::failed(index, &Invalid::NotOneBatch("there are no records").into(), None),
        };
        if !self.is_transactional && transactional_producer(&records).is_some() {
            return answer::failed(index, &Invalid::WithoutTransactionalId.into(), None);
        }
        let unpacks = has_to_unpack(&records, &topic.settings);
        let check = || check_batch(records, &topic.settings, self.zstd_allowed, self.now.wall);
        let checked = match if unpacks { self.context.broker.unpacking.in_place(check) } else { check() } {
            Ok(checked) => checked,
            Err(invalid) => {
                let start = if invalid.is_of_records() { log_start() } else { None };
                return answer::failed(index, &Error::from(invalid), start);
            }
        };
        let transaction = match self.transaction(&checked, partition.id()) {
            Ok(transaction) => transaction,
            Err(code) => return answer::refused(index, code),
        };
        let wait = self.wait.as_ref().map(|wait| (wait, place));
        match partition.append(&checked.batch, transaction, self.acks, wait, self.now) {
            Ok(info) => answer::appended(index, &info),
            Err(error) => {
                let start = if matches!(error, Error::Storage(_)) { log_start() } else { None };
                answer::failed(index, &error, start)
            }
        }
    }

    /// The transaction that a batch is part of, with what its coordinator said if it begins one.
    fn transaction(&self, checked: &Checked, partition: &TopicPartition) -> Result<Option<InTransaction>, ErrorCode> {
        if !checked.header.attributes.is_transactional() {
            return Ok(None);
        }
        let verified = self.confirmed.get(partition).copied().transpose()?;
        let producer = producer(checked.header.producer_id, checked.header.producer_epoch);
        Ok(Some(InTransaction { producer, verified }))
    }

    /// Who has the partition of a topic of which nothing was here when it was looked up by its id.
    fn elsewhere(&self, id: uuid::Uuid, index: i32) -> Result<Arc<Partition>, Error> {
        let image = self.context.broker.image();
        let topic = leaders::topic(&image, "", id).ok_or(Error::UnknownTopicId)?;
        self.context.broker.replica(None, topic.name.as_str(), index)
    }

    fn finish(self, exchange: Exchange, response: ProduceResponse, timeout: Duration) -> Step {
        match self.wait {
            Some(wait) if !wait.sealed() => {
                let deadline = Instant::now() + timeout;
                Step::Wait(Box::new(Waiting::new(self.context, exchange, response, wait, deadline)))
            }
            Some(wait) => exchange.answer(&answer::settled(response, &wait, &self.context)),
            None if self.acks == RequiredAcks::Leader => exchange.answer(&answer::pointing_on(response, &self.context)),
            None if answer::has_error(&response) => Step::Close(CloseReason::UnansweredFailure),
            None => Step::NoAnswer,
        }
    }
}

/// Of several data for one partition the last counts, and is answered for, alone, as in Kafka.
fn last_of_each(mut data: Vec<PartitionProduceData>) -> Vec<PartitionProduceData> {
    if data.len() > 1 {
        let last: HashMap<i32, usize> = data.iter().enumerate().map(|(place, data)| (data.index, place)).collect();
        if last.len() < data.len() {
            let mut place = 0..;
            data.retain(|data| place.next() == last.get(&data.index).copied());
        }
    }
    data
}

fn refuse_all(request: &ProduceRequest, code: ErrorCode) -> ProduceResponse {
    let topic = |topic: &TopicProduceData| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.iter().map(|data| answer::refused(data.index, code)).collect(),
    };
    ProduceResponse { responses: request.topic_data.iter().map(topic).collect(), ..ProduceResponse::default() }
}
