//! InitProducerId (KIP-98, KIP-360): ids from blocks that the controller gives this broker; for a transactional producer
//! the coordinator decides.

use std::time::Duration;

use ottla_core::controller::{AllocateProducerIds, ProducerIdBlock};
use ottla_core::txn::{InitProducerId, Request, Response};
use ottla_core::{Producer, ProducerEpoch, ProducerId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use tokio::sync::Mutex;

use super::error::of_txn;
use super::transactions::{coordinate, fenced_since, producer, unexpected};
use super::{Context, error};
use crate::broker::Broker;

/// The block that ids are taken from.
#[derive(Debug, Default)]
pub struct ProducerIds {
    /// The next id, and how many are left.
    block: Mutex<(i64, i64)>,
}

impl ProducerIds {
    /// The next id; asks the controller for a block when there is none left.
    pub async fn next(&self, broker: &Broker) -> Result<ProducerId, ErrorCode> {
        // Held while a block is on its way, so that those who wait share it.
        let mut block = self.block.lock().await;
        if block.1 == 0 {
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

/// Gives an id and an epoch.
pub(super) async fn handle(context: Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match init(&context, &request).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            ..InitProducerIdResponse::default()
        },
        Err(code) => InitProducerIdResponse {
            error_code: fenced_since(4, context.version, code),
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    }
}

async fn init(context: &Context, request: &InitProducerIdRequest) -> Result<Producer, ErrorCode> {
    let expected = expected(request)?;
    let Some(transactional_id) = request.transactional_id.as_deref() else {
        return Ok(Producer { id: context.broker.producer_ids.next(&context.broker).await?, epoch: ProducerEpoch(0) });
    };
    let init = InitProducerId {
        transactional_id: transactional_id.to_owned(),
        timeout: Duration::from_millis(u64::try_from(request.transaction_timeout_ms).unwrap_or(0)),
        expected,
    };
    // What no coordinator would accept is refused by any broker.
    init.check(context.broker.max_transaction_timeout).map_err(of_txn)?;
    match coordinate(context, transactional_id, Request::Init(init)).await? {
        Response::Init(result) => result.map_err(of_txn),
        other => Err(unexpected(&other)),
    }
}

/// What the producer takes itself for: both its id and its epoch, or neither.
fn expected(request: &InitProducerIdRequest) -> Result<Option<Producer>, ErrorCode> {
    match (request.producer_id, request.producer_epoch) {
        (..0, ..0) => Ok(None),
        (id @ 0.., epoch @ 0..) => Ok(Some(producer(id, epoch))),
        _ => Err(ErrorCode::INVALID_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_says_all_that_it_was_or_nothing() {
        let request = |producer_id, producer_epoch| InitProducerIdRequest {
            producer_id,
            producer_epoch,
            ..InitProducerIdRequest::default()
        };
        assert_eq!(expected(&request(-1, -1)), Ok(None));
        assert_eq!(expected(&request(5, 0)), Ok(Some(producer(5, 0))));
        for (id, epoch) in [(5, -1), (-1, 0)] {
            assert_eq!(expected(&request(id, epoch)), Err(ErrorCode::INVALID_REQUEST));
        }
    }
}
