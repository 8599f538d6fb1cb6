//! OffsetFetch: of one group up to version 7, of several from version 8 on (KIP-709), by topic ids from version 10 on.

use ottla_core::group::{self, Committed, FetchOffsets, FetchedTopic, Request, Response};
use ottla_core::{TopicId, TopicName};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};

use super::Context;
use super::error::of_group;
use super::groups::{coordinate, unexpected};

/// Answers with committed offsets; −1 where there is none.
pub(super) async fn handle(context: Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if context.version < 8 {
        return old_answer(context.version, fetch(&context, as_group(&request), request.require_stable).await);
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(fetch(&context, group, request.require_stable).await);
    }
    OffsetFetchResponse { groups, ..OffsetFetchResponse::default() }
}

/// The one group of an old request in the form of the new ones.
fn as_group(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topic = |topic: &ottla_protocol::messages::offset_fetch::OffsetFetchRequestTopic| OffsetFetchRequestTopics {
        name: topic.name.clone(),
        partition_indexes: topic.partition_indexes.clone(),
        ..OffsetFetchRequestTopics::default()
    };
    OffsetFetchRequestGroup {
        group_id: request.group_id.clone(),
        topics: request.topics.as_ref().map(|topics| topics.iter().map(topic).collect()),
        ..OffsetFetchRequestGroup::default()
    }
}

async fn fetch(context: &Context, asked: OffsetFetchRequestGroup, require_stable: bool) -> OffsetFetchResponseGroup {
    let image = context.broker.image();
    let group = asked.group_id.to_string();
    let name_of = |topic: &OffsetFetchRequestTopics| {
        if context.version >= 10 {
            image.topics().by_id(TopicId(topic.topic_id)).map(|topic| topic.name.clone())
        } else {
            TopicName::new(topic.name.as_str()).ok()
        }
    };
    let names: Option<Vec<_>> = asked.topics.as_ref().map(|topics| topics.iter().map(name_of).collect());
    let wanted = asked.topics.as_ref().zip(names.as_ref()).map(|(topics, names)| {
        let pairs = topics.iter().zip(names);
        pairs.filter_map(|(topic, name)| Some((name.clone()?, topic.partition_indexes.clone()))).collect()
    });
    let member = asked.member_id.as_ref().map(|id| (id.to_string(), asked.member_epoch));
    let fetch = FetchOffsets { group: group.clone(), topics: wanted, member, require_stable };
    let result = match coordinate(context, &group, Request::FetchOffsets(fetch)).await {
        Ok(Response::FetchOffsets(result)) => result.map_err(of_group),
        Ok(other) => Err(unexpected(&other)),
        Err(code) => Err(code),
    };
    let mut answer = OffsetFetchResponseGroup { group_id: asked.group_id, ..OffsetFetchResponseGroup::default() };
    match (result, asked.topics) {
        (Err(code), topics) => {
            answer.error_code = code;
            // Version 1 has no other place for an error than the partitions.
            if context.version < 2 {
                answer.topics = topics.into_iter().flatten().map(|topic| without_offsets(topic, code)).collect();
            }
        }
        (Ok(found), None) => {
            let id_of = |name: &TopicName| image.topic(name.as_str()).map(|topic| topic.id);
            let topics = found.into_iter().filter_map(|topic| match id_of(&topic.topic) {
                None if context.version >= 10 => None,
                id => Some(with_offsets(topic.topic.as_str().into(), id.unwrap_or_default(), topic)),
            });
            answer.topics = topics.collect();
        }
        (Ok(found), Some(topics)) => {
            let mut found = found.into_iter();
            let no_topic = if context.version >= 10 { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::NONE };
            for (topic, name) in topics.into_iter().zip(names.unwrap_or_default()) {
                let offsets = name.and_then(|_| found.next());
                answer.topics.push(match offsets {
                    Some(offsets) => with_offsets(topic.name, TopicId(topic.topic_id), offsets),
                    None => without_offsets(topic, no_topic),
                });
            }
        }
    }
    answer
}

fn with_offsets(name: Str, id: TopicId, fetched: FetchedTopic) -> OffsetFetchResponseTopics {
    let partition = |(partition_index, committed): (i32, Result<Option<Committed>, group::Error>)| {
        let mut answer = no_offset(partition_index, committed.as_ref().err().map_or(ErrorCode::NONE, |e| of_group(*e)));
        if let Ok(Some(committed)) = committed {
            answer.committed_offset = committed.offset.0;
            answer.committed_leader_epoch = committed.leader_epoch.0;
            answer.metadata = Some(committed.metadata.into());
        }
        answer
    };
    OffsetFetchResponseTopics {
        name,
        topic_id: id.0,
        partitions: fetched.partitions.into_iter().map(partition).collect(),
    }
}

fn without_offsets(asked: OffsetFetchRequestTopics, code: ErrorCode) -> OffsetFetchResponseTopics {
    OffsetFetchResponseTopics {
        name: asked.name,
        topic_id: asked.topic_id,
        partitions: asked.partition_indexes.iter().map(|index| no_offset(*index, code)).collect(),
    }
}

fn no_offset(partition_index: i32, error_code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        error_code,
        ..OffsetFetchResponsePartitions::default()
    }
}

/// The answer for one group in the form of the versions before 8.
fn old_answer(version: i16, group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    let error_code = if version >= 2 { group.error_code } else { ErrorCode::NONE };
    let topics = group.topics.into_iter().map(topic).collect();
    OffsetFetchResponse { error_code, topics, ..OffsetFetchResponse::default() }
}
