//! InitProducerId (KIP-98) for idempotent producers: ids from blocks that the controller gives this broker.
//!
//! Transactions are not built yet: a transactional producer gets an error that every client takes for final.

use ottla_core::ProducerId;
use ottla_core::controller::{AllocateProducerIds, ProducerIdBlock};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use tokio::sync::Mutex;

use super::{Context, error};

/// The block that ids are taken from.
#[derive(Debug, Default)]
pub struct ProducerIds {
    /// The next id, and how many are left.
    block: Mutex<(i64, i64)>,
}

impl ProducerIds {
    /// The next id; asks the controller for a block when there is none left.
    async fn next(&self, context: &Context) -> Result<ProducerId, ErrorCode> {
        // Held while a block is on its way, so that those who wait share it.
        let mut block = self.block.lock().await;
        if block.1 == 0 {
            let broker = &context.broker;
            let broker_epoch = *broker.epoch.get().ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
            let command = AllocateProducerIds { broker: broker.id(), broker_epoch };
            let ProducerIdBlock { first, count } =
                broker.controller.submit(command).await.map_err(|error| error::of_submit(&error))?;
            *block = (first.0, count);
        }
        let id = block.0;
        *block = (id + 1, block.1 - 1);
        Ok(ProducerId(id))
    }
}

/// `transaction.max.timeout.ms`.
const MAX_TRANSACTION_TIMEOUT: i32 = 900_000;

/// Gives an id and epoch 0.
pub(super) async fn handle(context: Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused =
        |error_code| InitProducerIdResponse { error_code, producer_epoch: -1, ..InitProducerIdResponse::default() };
    if let Some(code) = refusal(&request) {
        return refused(code);
    }
    match context.broker.producer_ids.next(&context).await {
        Ok(id) => InitProducerIdResponse { producer_id: id.0, ..InitProducerIdResponse::default() },
        Err(code) => refused(code),
    }
}

fn refusal(request: &InitProducerIdRequest) -> Option<ErrorCode> {
    if (request.producer_id < 0) != (request.producer_epoch < 0) {
        return Some(ErrorCode::INVALID_REQUEST);
    }
    match request.transactional_id.as_deref() {
        None => None,
        Some("") => Some(ErrorCode::INVALID_REQUEST),
        Some(_) if !(1..=MAX_TRANSACTION_TIMEOUT).contains(&request.transaction_timeout_ms) => {
            Some(ErrorCode::INVALID_TRANSACTION_TIMEOUT)
        }
        Some(_) => Some(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_refused_as_kafka_does_and_transactions_for_good() {
        let request = |id: Option<&str>, timeout| InitProducerIdRequest {
            transactional_id: id.map(Into::into),
            transaction_timeout_ms: timeout,
            ..InitProducerIdRequest::default()
        };
        assert_eq!(refusal(&request(None, 0)), None);
        assert_eq!(refusal(&request(Some(""), 1000)), Some(ErrorCode::INVALID_REQUEST));
        for timeout in [0, -1, 900_001] {
            assert_eq!(refusal(&request(Some("t"), timeout)), Some(ErrorCode::INVALID_TRANSACTION_TIMEOUT));
        }
        let half = InitProducerIdRequest { producer_id: 5, ..request(None, 0) };
        assert_eq!(refusal(&half), Some(ErrorCode::INVALID_REQUEST));
        assert!(!refusal(&request(Some("t"), 1000)).is_none_or(ErrorCode::is_retriable));
    }
}
