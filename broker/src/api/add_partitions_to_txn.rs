//! AddPartitionsToTxn (KIP-98): from producers for their own transaction, from brokers for several (KIP-890).

use std::collections::BTreeSet;

use ottla_core::metadata::Image;
use ottla_core::txn::{AddPartitions, Request, Response, TransactionVersion};
use ottla_core::{TopicName, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
};

use super::Context;
use super::error::of_txn;
use super::transactions::{abortable_since, coordinate, fenced_since, producer, unexpected};

/// Adds or verifies; answered when it is durable.
pub(super) async fn handle(context: Context, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if context.version < 4 {
        let asked = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        let results_by_topic_v3_and_below = one(&context, asked).await.topic_results;
        return AddPartitionsToTxnResponse { results_by_topic_v3_and_below, ..AddPartitionsToTxnResponse::default() };
    }
    let all = request.transactions.into_iter().map(|asked| one(&context, asked));
    let results_by_transaction = futures::future::join_all(all).await;
    AddPartitionsToTxnResponse { results_by_transaction, ..AddPartitionsToTxnResponse::default() }
}

async fn one(context: &Context, asked: AddPartitionsToTxnTransaction) -> AddPartitionsToTxnResult {
    let AddPartitionsToTxnTransaction { transactional_id, topics, .. } = &asked;
    let answered = |code: &dyn Fn(&str, i32) -> ErrorCode| AddPartitionsToTxnResult {
        transactional_id: transactional_id.clone(),
        topic_results: topics.iter().map(|topic| result(topic, code)).collect(),
    };
    let image = context.broker.image();
    if topics.iter().any(|topic| topic.partitions.iter().any(|index| !exists(&image, &topic.name, *index))) {
        // All or nothing.
        return answered(&|topic, index| {
            if exists(&image, topic, index) {
                ErrorCode::OPERATION_NOT_ATTEMPTED
            } else {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            }
        });
    }
    let add = AddPartitions {
        transactional_id: transactional_id.to_string(),
        producer: producer(asked.producer_id, asked.producer_epoch),
        partitions: partitions(topics),
        // A broker that adds does so for a client of version 2.
        version: if context.version >= 5 { TransactionVersion::V2 } else { TransactionVersion::V1 },
    };
    let told = |code| abortable_since(5, context.version, fenced_since(2, context.version, code));
    let request = if asked.verify_only { Request::Verify(add) } else { Request::Add(add) };
    match coordinate(context, transactional_id, request).await {
        Ok(Response::Add(result)) => {
            let code = result.map_or_else(|refusal| told(of_txn(refusal)), |()| ErrorCode::NONE);
            answered(&|_, _| code)
        }
        Ok(Response::Verify(Ok(verified))) => answered(&|topic, index| {
            let found = verified.iter().find(|(at, _)| at.topic.as_str() == topic && at.partition == index);
            found.map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |(_, result)| {
                result.map_or_else(|refusal| told(of_txn(refusal)), |()| ErrorCode::NONE)
            })
        }),
        Ok(Response::Verify(Err(refusal))) => answered(&|_, _| told(of_txn(refusal))),
        Ok(other) => {
            let code = unexpected(&other);
            answered(&|_, _| code)
        }
        Err(code) => answered(&|_, _| code),
    }
}

fn exists(image: &Image, topic: &str, index: i32) -> bool {
    image.topic(topic).is_some_and(|topic| topic.partition(index).is_some())
}

/// The partitions of topics that exist.
fn partitions(topics: &[AddPartitionsToTxnTopic]) -> BTreeSet<TopicPartition> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let name = TopicName::new(&topic.name).ok();
        name.into_iter()
            .flat_map(|name| topic.partitions.iter().map(move |index| TopicPartition::new(name.clone(), *index)))
            .collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

fn result(topic: &AddPartitionsToTxnTopic, code: &dyn Fn(&str, i32) -> ErrorCode) -> AddPartitionsToTxnTopicResult {
    let partition = |index: &i32| AddPartitionsToTxnPartitionResult {
        partition_index: *index,
        partition_error_code: code(&topic.name, *index),
    };
    AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic.partitions.iter().map(partition).collect(),
    }
}
