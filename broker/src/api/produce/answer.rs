//! The answers to a produce: per partition, and the wait for the whole.

use std::sync::Arc;
use std::task::{Context, Poll};

use ottla_core::Offset;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
};
use ottla_protocol::{ApiKey, ErrorCode};
use ottla_storage::AppendInfo;
use tokio::time::Instant;

use crate::api::table::encode;
use crate::api::{self, error, leaders};
use crate::net::{CloseReason, Pending, Response, Step};
use crate::replica::{Error, Invalid, Outcome, ProduceWait};

/// Which request an answer is for.
#[derive(Clone, Copy)]
pub(super) struct Exchange {
    pub(super) version: i16,
    pub(super) correlation_id: i32,
}

impl Exchange {
    pub(super) fn answer(self, response: &ProduceResponse) -> Step {
        match encode(ApiKey::Produce, self.version, self.correlation_id, response) {
            Ok(encoded) => Step::Answer(Response::from(encoded.bytes)),
            Err(error) => Step::Close(CloseReason::Unanswerable(error)),
        }
    }
}

pub(super) fn refused(index: i32, error_code: ErrorCode) -> PartitionProduceResponse {
    PartitionProduceResponse { index, error_code, base_offset: -1, ..PartitionProduceResponse::default() }
}

/// A failure, with the log start offset where Kafka tells it.
pub(super) fn failed(index: i32, error: &Error, log_start: Option<Offset>) -> PartitionProduceResponse {
    let mut answer = refused(index, error::of_replica(error));
    answer.log_start_offset = log_start.map_or(-1, |offset| offset.0);
    answer.error_message = Some(Str::from(error.to_string()));
    match error {
        Error::NotLeader { leader, epoch } => {
            answer.current_leader = LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 };
        }
        Error::Invalid(Invalid::Keyless(records)) => {
            let record = |record: &crate::replica::RecordError| BatchIndexAndErrorMessage {
                batch_index: record.index,
                batch_index_error_message: Some(Str::from_static(record.message)),
            };
            answer.record_errors = records.iter().map(record).collect();
        }
        _ => {}
    }
    answer
}

pub(super) fn appended(index: i32, info: &AppendInfo) -> PartitionProduceResponse {
    let time = if info.duplicate { info.max_timestamp } else { info.log_append_time };
    PartitionProduceResponse {
        index,
        base_offset: info.base_offset.0,
        log_append_time_ms: time.0,
        log_start_offset: info.log_start.0,
        ..PartitionProduceResponse::default()
    }
}

pub(super) fn has_error(response: &ProduceResponse) -> bool {
    response.responses.iter().flat_map(|topic| &topic.partition_responses).any(|p| p.error_code.is_error())
}

/// The response with what the waits of its batches came to.
pub(super) fn settled(mut response: ProduceResponse, wait: &ProduceWait, context: &api::Context) -> ProduceResponse {
    let partitions = response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
    for (place, partition) in partitions.enumerate() {
        let outcome = wait.outcome(place);
        if outcome != Outcome::Committed && partition.error_code.is_none() {
            *partition = refused(partition.index, error::of_outcome(outcome));
        }
    }
    pointing_on(response, context)
}

/// The response with who leads, and where, what this broker does not (KIP-951).
pub(super) fn pointing_on(mut response: ProduceResponse, context: &api::Context) -> ProduceResponse {
    let elsewhere = |p: &PartitionProduceResponse| p.error_code == ErrorCode::NOT_LEADER_OR_FOLLOWER;
    if context.version < 10 || !response.responses.iter().any(|topic| topic.partition_responses.iter().any(elsewhere)) {
        return response;
    }
    let image = context.broker.image();
    let mut pointed_to = Vec::new();
    for answers in &mut response.responses {
        let topic = leaders::topic(&image, &answers.name, answers.topic_id);
        for partition in answers.partition_responses.iter_mut().filter(|p| elsewhere(p)) {
            if let Some(state) = topic.and_then(|topic| topic.partition(partition.index)) {
                partition.current_leader =
                    LeaderIdAndEpoch { leader_id: state.leader.0, leader_epoch: state.leader_epoch.0 };
            }
            pointed_to.push(partition.current_leader.leader_id);
        }
    }
    let addresses = leaders::addresses(&image, &context.peer.listener, pointed_to);
    let endpoint = |leaders::Address { id, host, port, rack }| NodeEndpoint { node_id: id, host, port, rack };
    response.node_endpoints = addresses.into_iter().map(endpoint).collect();
    response
}

/// An answer that waits for the watermark.
pub(super) struct Waiting {
    context: api::Context,
    exchange: Exchange,
    response: ProduceResponse,
    wait: Arc<ProduceWait>,
    deadline: Instant,
}

impl Waiting {
    pub(super) fn new(
        context: api::Context,
        exchange: Exchange,
        response: ProduceResponse,
        wait: Arc<ProduceWait>,
        deadline: Instant,
    ) -> Self {
        Self { context, exchange, response, wait, deadline }
    }

    fn answer(&mut self) -> Step {
        let response = settled(std::mem::take(&mut self.response), &self.wait, &self.context);
        self.exchange.answer(&response)
    }
}

impl Pending for Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.wait.register(cx.waker());
        if self.wait.is_over() { Poll::Ready(self.answer()) } else { Poll::Pending }
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn expire(&mut self) -> Step {
        self.answer()
    }

    fn may_overlap(&self) -> bool {
        true
    }
}
