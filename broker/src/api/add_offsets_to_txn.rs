//! AddOffsetsToTxn (KIP-98): makes the partition of the offsets topic that holds a group part of a transaction.

use ottla_core::TopicPartition;
use ottla_core::controller::internal_topics::CONSUMER_OFFSETS;
use ottla_core::txn::{AddPartitions, Request, Response, TransactionVersion};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::Context;
use super::error::of_txn;
use super::transactions::{abortable_since, coordinate, fenced_since, producer, unexpected};
use crate::coordinator::partition_of;

/// Adds it; answered when that is durable.
pub(super) async fn handle(context: Context, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let error_code = add(&context, &request).await.err().unwrap_or(ErrorCode::NONE);
    AddOffsetsToTxnResponse { error_code, ..AddOffsetsToTxnResponse::default() }
}

async fn add(context: &Context, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    let image = context.broker.image();
    let topic = image.topic(CONSUMER_OFFSETS).ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
    let index = partition_of(&request.group_id, topic.partitions.len() as i32);
    let add = AddPartitions {
        transactional_id: request.transactional_id.to_string(),
        producer: producer(request.producer_id, request.producer_epoch),
        partitions: [TopicPartition::new(topic.name.clone(), index)].into(),
        version: TransactionVersion::V1,
    };
    let told = |code| abortable_since(4, context.version, fenced_since(2, context.version, code));
    match coordinate(context, &request.transactional_id, Request::Add(add)).await? {
        Response::Add(result) => result.map_err(|refusal| told(of_txn(refusal))),
        other => Err(unexpected(&other)),
    }
}
