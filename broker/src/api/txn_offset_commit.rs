//! TxnOffsetCommit (KIP-98, KIP-447): offsets that count once their transaction is committed.

use ottla_core::controller::internal_topics::CONSUMER_OFFSETS;
use ottla_core::coordinator::InTransaction;
use ottla_core::group::{Commit, PartitionCommit, Request, Response};
use ottla_core::metadata::Image;
use ottla_core::txn::{AddPartitions, TransactionVersion};
use ottla_core::{LeaderEpoch, Offset, TopicName, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

use super::Context;
use super::error::{self, of_group};
use super::groups::{code, coordinate, text, unexpected};
use super::transactions::{abortable_since, producer};
use crate::coordinator::partition_of;
use crate::txn::confirm;

/// The first version whose clients leave it to the broker to make the offsets part of the transaction (KIP-890).
const V2_SINCE: i16 = 5;

/// Stores the offsets; answered when they are durable.
pub(super) async fn handle(context: Context, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let image = context.broker.image();
    let known: Vec<_> = request.topics.iter().filter_map(|topic| known(&image, topic)).collect();
    let result = match known.iter().all(|(_, partitions)| partitions.is_empty()) {
        true => Ok(Vec::new()),
        false => commit(&context, &request, known).await,
    };
    let result = result.map_err(|code| abortable_since(V2_SINCE, context.version, code));
    let mut results = result.map(|topics| topics.into_iter().flat_map(|(_, partitions)| partitions));
    let mut answer = |topic: &TxnOffsetCommitRequestTopic, partition: &TxnOffsetCommitRequestPartition| {
        let index = partition.partition_index;
        let error_code = match &mut results {
            _ if !exists(&image, &topic.name, index) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            // The coordinator's answers are in the order asked.
            Ok(results) => results.next().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |(_, result)| code(result)),
            Err(code) => *code,
        };
        TxnOffsetCommitResponsePartition { partition_index: index, error_code }
    };
    let topics = request.topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(|partition| answer(topic, partition)).collect(),
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..TxnOffsetCommitResponse::default() }
}

async fn commit(
    context: &Context,
    request: &TxnOffsetCommitRequest,
    topics: Vec<(TopicName, Vec<PartitionCommit>)>,
) -> Result<ottla_core::group::PartitionResults, ErrorCode> {
    let group = request.group_id.to_string();
    if group.is_empty() {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    let commit = Commit {
        group: group.clone(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: text(request.group_instance_id.clone()),
        retention: None,
        transaction: Some(join(context, request).await?),
        knows_consumer_protocol: false,
        topics,
    };
    match coordinate(context, &group, Request::Commit(commit)).await? {
        Response::Commit(result) => result.map_err(of_group),
        other => Err(unexpected(&other)),
    }
}

/// Makes sure that the group's partition of the offsets topic is part of the transaction.
async fn join(context: &Context, request: &TxnOffsetCommitRequest) -> Result<InTransaction, ErrorCode> {
    let image = context.broker.image();
    let topic = image.topic(CONSUMER_OFFSETS).ok_or(ErrorCode::NOT_COORDINATOR)?;
    let index = partition_of(&request.group_id, topic.partitions.len() as i32);
    let producer = producer(request.producer_id, request.producer_epoch);
    let partition = context.broker.replica_by_name(CONSUMER_OFFSETS, index).map_err(|_| ErrorCode::NOT_COORDINATOR)?;
    let now = context.broker.replicas.clock().now();
    let verified = match partition.begin_verification(producer, now) {
        Ok(verified) => verified,
        Err(failure) => {
            let code = error::of_replica(&failure);
            let is_elsewhere = code == ErrorCode::NOT_LEADER_OR_FOLLOWER;
            return Err(if is_elsewhere { ErrorCode::NOT_COORDINATOR } else { code });
        }
    };
    if verified.is_some() {
        let add = AddPartitions {
            transactional_id: request.transactional_id.to_string(),
            producer,
            partitions: [TopicPartition::new(topic.name.clone(), index)].into(),
            version: if context.version >= V2_SINCE { TransactionVersion::V2 } else { TransactionVersion::V1 },
        };
        if let Some((_, code)) = confirm(&context.broker, add).await.into_iter().next() {
            return Err(code);
        }
    }
    Ok(InTransaction { producer, verified })
}

fn exists(image: &Image, topic: &str, index: i32) -> bool {
    image.topic(topic).is_some_and(|topic| topic.partition(index).is_some())
}

/// The part of a topic's commits that is for partitions that exist.
fn known(image: &Image, asked: &TxnOffsetCommitRequestTopic) -> Option<(TopicName, Vec<PartitionCommit>)> {
    let topic = image.topic(asked.name.as_str())?;
    let commit = |partition: &TxnOffsetCommitRequestPartition| PartitionCommit {
        partition: partition.partition_index,
        offset: Offset(partition.committed_offset),
        leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
        metadata: partition.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let existing = asked.partitions.iter().filter(|partition| topic.partition(partition.partition_index).is_some());
    Some((topic.name.clone(), existing.map(commit).collect()))
}
