//! OffsetCommit: the topics are checked here, the rest is the coordinator's.

use std::time::Duration;

use ottla_core::group::{Commit, PartitionCommit, PartitionResults, Request, Response};
use ottla_core::metadata::{Image, Topic};
use ottla_core::{LeaderEpoch, Offset, TopicId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::Context;
use super::error::of_group;
use super::groups::{code, coordinate, text, unexpected};

/// Stores offsets; answered when they are durable.
pub(super) async fn handle(context: Context, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let image = context.broker.image();
    let mut answers: Vec<OffsetCommitResponseTopic> =
        request.topics.iter().map(|topic| unknown(context.version, &image, topic)).collect();
    let topics = request.topics.iter().filter_map(|asked| known(context.version, &image, asked)).collect::<Vec<_>>();
    if topics.iter().all(|(_, partitions)| partitions.is_empty()) {
        return OffsetCommitResponse { topics: answers, ..OffsetCommitResponse::default() };
    }
    let group = request.group_id.to_string();
    let commit = Commit {
        group: group.clone(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        instance_id: text(request.group_instance_id),
        retention: u64::try_from(request.retention_time_ms).ok().map(Duration::from_millis),
        transaction: None,
        knows_consumer_protocol: context.version >= 9,
        topics,
    };
    let result = match coordinate(&context, &group, Request::Commit(commit)).await {
        Ok(Response::Commit(result)) => result.map_err(of_group),
        Ok(other) => Err(unexpected(&other)),
        Err(code) => Err(code),
    };
    fill(&mut answers, result);
    OffsetCommitResponse { topics: answers, ..OffsetCommitResponse::default() }
}

fn topic<'a>(version: i16, image: &'a Image, asked: &OffsetCommitRequestTopic) -> Option<&'a Topic> {
    let topic =
        if version >= 10 { image.topics().by_id(TopicId(asked.topic_id)) } else { image.topic(asked.name.as_str()) };
    topic.map(|topic| &**topic)
}

/// The part of a topic's commits that is for partitions that exist.
fn known(
    version: i16,
    image: &Image,
    asked: &OffsetCommitRequestTopic,
) -> Option<(ottla_core::TopicName, Vec<PartitionCommit>)> {
    let topic = topic(version, image, asked)?;
    let commit = |partition: &OffsetCommitRequestPartition| PartitionCommit {
        partition: partition.partition_index,
        offset: Offset(partition.committed_offset),
        leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
        metadata: partition.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let exists = |partition: &&OffsetCommitRequestPartition| topic.partition(partition.partition_index).is_some();
    Some((topic.name.clone(), asked.partitions.iter().filter(exists).map(commit).collect()))
}

/// The answer as far as it is known without the coordinator: what does not exist has its error, the rest none yet.
fn unknown(version: i16, image: &Image, asked: &OffsetCommitRequestTopic) -> OffsetCommitResponseTopic {
    let topic = topic(version, image, asked);
    let no_topic = if version >= 10 { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
    let answer = |partition: &OffsetCommitRequestPartition| OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: match topic {
            None => no_topic,
            Some(topic) if topic.partition(partition.partition_index).is_none() => {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            }
            Some(_) => ErrorCode::NONE,
        },
    };
    OffsetCommitResponseTopic {
        name: asked.name.clone(),
        topic_id: asked.topic_id,
        partitions: asked.partitions.iter().map(answer).collect(),
    }
}

/// Puts the coordinator's answers, which are in the order asked, into the places without an error.
fn fill(answers: &mut [OffsetCommitResponseTopic], result: Result<PartitionResults, ErrorCode>) {
    let open = answers.iter_mut().flat_map(|topic| &mut topic.partitions).filter(|p| p.error_code == ErrorCode::NONE);
    match result {
        Ok(results) => {
            let results = results.into_iter().flat_map(|(_, partitions)| partitions);
            open.zip(results).for_each(|(answer, (_, result))| answer.error_code = code(result));
        }
        Err(code) => open.for_each(|answer| answer.error_code = code),
    }
}
