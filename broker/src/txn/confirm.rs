//! Asking the coordinator of a transaction, here or on another broker, before its first batch is appended (KIP-890).

use std::collections::BTreeMap;

use ottla_core::TopicPartition;
use ottla_core::controller::internal_topics::TRANSACTION_STATE;
use ottla_core::txn::{AddPartitions, Request, Response, TransactionVersion};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use tokio::time::Instant;

use super::peers::Unanswered;
use super::settings::Retry;
use crate::api::error;
use crate::broker::Broker;
use crate::coordinator::partition_of;

/// Makes the partitions part of the transaction where the client leaves that to the broker (version 2), else asks
/// whether they are. Gives what speaks against each partition; nothing for those that are part of it now. While the
/// producer's last transaction has markers to come, it asks again for a moment.
pub async fn confirm(broker: &Broker, add: AddPartitions) -> BTreeMap<TopicPartition, ErrorCode> {
    let Retry { backoff, limit } = broker.next_transaction_retry;
    let patience = Instant::now() + limit;
    loop {
        let refused = ask(broker, add.clone()).await;
        let begins = add.version == TransactionVersion::V2;
        let is_early = begins && refused.values().any(|code| *code == ErrorCode::CONCURRENT_TRANSACTIONS);
        if !is_early || Instant::now() + backoff > patience {
            return refused;
        }
        tokio::time::sleep(backoff).await;
    }
}

async fn ask(broker: &Broker, add: AddPartitions) -> BTreeMap<TopicPartition, ErrorCode> {
    let partitions = add.partitions.clone();
    let all = |code: ErrorCode| partitions.iter().map(|partition| (partition.clone(), code)).collect();
    let image = broker.image();
    let Some(topic) = image.topic(TRANSACTION_STATE) else { return all(ErrorCode::INVALID_PRODUCER_ID_MAPPING) };
    let index = partition_of(&add.transactional_id, topic.partitions.len() as i32);
    let leader = topic.partition(index).map(|state| state.leader);
    if leader == Some(broker.id()) {
        broker.transactions.followed(image.index()).await;
        let verifies = add.version == TransactionVersion::V1;
        let request = if verifies { Request::Verify(add) } else { Request::Add(add) };
        return match broker.transactions.call(index, request).await {
            Ok(Response::Add(result)) => result.err().map(error::of_txn).map_or_else(BTreeMap::new, all),
            Ok(Response::Verify(Ok(verified))) => {
                let refused = verified.into_iter().filter_map(|(partition, result)| Some((partition, result.err()?)));
                refused.map(|(partition, refusal)| (partition, error::of_txn(refusal))).collect()
            }
            Ok(Response::Verify(Err(refusal))) => all(error::of_txn(refusal)),
            Ok(_) => all(ErrorCode::UNKNOWN_SERVER_ERROR),
            Err(unavailable) => all(error::of_unavailable(unavailable)),
        };
    }
    let Some(leader) = leader else { return all(ErrorCode::COORDINATOR_NOT_AVAILABLE) };
    match broker.peers.call(broker, leader, &request_of(&add)).await {
        Ok(response) if response.error_code.is_error() => all(response.error_code),
        Ok(response) => refusals_of(response, &add),
        Err(Unanswered::NoAddress(_) | Unanswered::Failed(_)) => all(ErrorCode::COORDINATOR_NOT_AVAILABLE),
    }
}

fn request_of(add: &AddPartitions) -> AddPartitionsToTxnRequest {
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for TopicPartition { topic, partition } in &add.partitions {
        match topics.last_mut().filter(|last| *last.name == *topic.as_str()) {
            Some(last) => last.partitions.push(*partition),
            None => topics.push(AddPartitionsToTxnTopic { name: topic.as_str().into(), partitions: vec![*partition] }),
        }
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: add.transactional_id.as_str().into(),
        producer_id: add.producer.id.0,
        producer_epoch: add.producer.epoch.0,
        verify_only: add.version == TransactionVersion::V1,
        topics,
    };
    AddPartitionsToTxnRequest { transactions: vec![transaction], ..AddPartitionsToTxnRequest::default() }
}

fn refusals_of(response: AddPartitionsToTxnResponse, add: &AddPartitions) -> BTreeMap<TopicPartition, ErrorCode> {
    let results = response.results_by_transaction.into_iter().flat_map(|transaction| transaction.topic_results);
    let codes: BTreeMap<(String, i32), ErrorCode> = results
        .flat_map(|topic| {
            let name = topic.name.to_string();
            let partitions = topic.results_by_partition.into_iter();
            partitions.map(move |p| ((name.clone(), p.partition_index), p.partition_error_code))
        })
        .collect();
    let refusal = |partition: &TopicPartition| {
        let code = codes.get(&(partition.topic.to_string(), partition.partition)).copied();
        code.unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR)
    };
    add.partitions
        .iter()
        .map(|partition| (partition.clone(), refusal(partition)))
        .filter(|(_, c)| c.is_error())
        .collect()
}
