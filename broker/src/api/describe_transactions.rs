//! DescribeTransactions (KIP-664).

use ottla_core::txn::{Described, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};

use super::Context;
use super::error::of_txn;
use super::transactions::{coordinate, unexpected};

/// Describes each transactional id asked for.
pub(super) async fn handle(context: Context, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        let result = match coordinate(&context, &id, Request::Describe(id.to_string())).await {
            Ok(Response::Describe(result)) => result.map_err(of_txn),
            Ok(other) => Err(unexpected(&other)),
            Err(code) => Err(code),
        };
        transaction_states.push(match result {
            Ok(found) => described(id, found),
            Err(error_code) => TransactionState { transactional_id: id, error_code, ..TransactionState::default() },
        });
    }
    DescribeTransactionsResponse { transaction_states, ..DescribeTransactionsResponse::default() }
}

fn described(transactional_id: Str, found: Described) -> TransactionState {
    let mut topics: Vec<TopicData> = Vec::new();
    for partition in found.partitions {
        match topics.last_mut().filter(|last| *last.topic == *partition.topic.as_str()) {
            Some(last) => last.partitions.push(partition.partition),
            None => {
                topics
                    .push(TopicData { topic: partition.topic.as_str().into(), partitions: vec![partition.partition] });
            }
        }
    }
    TransactionState {
        error_code: ErrorCode::NONE,
        transactional_id,
        transaction_state: Str::from_static(found.state.name()),
        transaction_timeout_ms: i32::try_from(found.timeout.as_millis()).unwrap_or(i32::MAX),
        transaction_start_time_ms: found.started.0,
        producer_id: found.producer.id.0,
        producer_epoch: found.producer.epoch.0,
        topics,
    }
}
