//! What the transaction APIs share: the way to the coordinator, and the shapes of its requests.

use ottla_core::controller::internal_topics::TRANSACTION_STATE;
use ottla_core::txn::{Request, Response};
use ottla_core::{Producer, ProducerEpoch, ProducerId};
use ottla_protocol::ErrorCode;

use super::Context;
use super::error::of_unavailable;
use crate::coordinator::partition_of;

/// Has the coordinator of `transactional_id` handle `request`.
pub(super) async fn coordinate(
    context: &Context,
    transactional_id: &str,
    request: Request,
) -> Result<Response, ErrorCode> {
    let image = context.broker.image();
    let topic = image.topic(TRANSACTION_STATE).ok_or(ErrorCode::NOT_COORDINATOR)?;
    let partition = partition_of(transactional_id, topic.partitions.len() as i32);
    context.broker.transactions.followed(image.index()).await;
    context.broker.transactions.call(partition, request).await.map_err(of_unavailable)
}

/// A producer as the wire has it.
pub(super) fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

/// The code for a client that knows PRODUCER_FENCED only from `since` on.
pub(super) fn fenced_since(since: i16, version: i16, code: ErrorCode) -> ErrorCode {
    if code == ErrorCode::PRODUCER_FENCED && version < since { ErrorCode::INVALID_PRODUCER_EPOCH } else { code }
}

/// The code for a client that knows TRANSACTION_ABORTABLE only from `since` on (KIP-890).
pub(super) fn abortable_since(since: i16, version: i16, code: ErrorCode) -> ErrorCode {
    if code == ErrorCode::TRANSACTION_ABORTABLE && version < since { ErrorCode::INVALID_TXN_STATE } else { code }
}

/// The coordinator answered another question than was asked: a fault of ours.
pub(super) fn unexpected(response: &Response) -> ErrorCode {
    tracing::error!(?response, "the transaction coordinator gave an answer of the wrong kind");
    ErrorCode::UNKNOWN_SERVER_ERROR
}
