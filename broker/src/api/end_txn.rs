//! EndTxn (KIP-98): from version 5 on by the rules of version 2 of transactions (KIP-890).

use ottla_core::txn::{End, Request, Response, TransactionVersion};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};

use super::Context;
use super::error::of_txn;
use super::transactions::{abortable_since, coordinate, fenced_since, producer, unexpected};

/// The first version whose clients follow version 2 of transactions.
const V2_SINCE: i16 = 5;

/// Ends a transaction; answered when that is durable, before the markers are written.
pub(super) async fn handle(context: Context, request: EndTxnRequest) -> EndTxnResponse {
    let version = if context.version >= V2_SINCE { TransactionVersion::V2 } else { TransactionVersion::V1 };
    let end = End {
        transactional_id: request.transactional_id.to_string(),
        producer: producer(request.producer_id, request.producer_epoch),
        commit: request.committed,
        version,
    };
    let result = match coordinate(&context, &request.transactional_id, Request::End(end)).await {
        Ok(Response::End(result)) => result.map_err(of_txn),
        Ok(other) => Err(unexpected(&other)),
        Err(code) => Err(code),
    };
    match result {
        Ok(next) if version == TransactionVersion::V2 => {
            EndTxnResponse { producer_id: next.id.0, producer_epoch: next.epoch.0, ..EndTxnResponse::default() }
        }
        Ok(_) => EndTxnResponse::default(),
        Err(code) => {
            let error_code: ErrorCode = abortable_since(5, context.version, fenced_since(2, context.version, code));
            EndTxnResponse { error_code, ..EndTxnResponse::default() }
        }
    }
}
