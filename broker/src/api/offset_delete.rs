//! OffsetDelete (KIP-496): the topics are checked here, the rest is the coordinator's.

use ottla_core::TopicName;
use ottla_core::group::{DeleteOffsets, Request, Response};
use ottla_core::metadata::Topic;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::Context;
use super::error::of_group;
use super::groups::{code, coordinate, unexpected};

/// Deletes committed offsets.
pub(super) async fn handle(context: Context, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = context.broker.image();
    let topic_of = |asked: &OffsetDeleteRequestTopic| image.topic(asked.name.as_str()).map(|topic| &**topic);
    let mut answers: Vec<_> = request.topics.iter().map(|asked| unknown(asked, topic_of(asked))).collect();
    let known = request.topics.iter().filter_map(|asked| existing(asked, topic_of(asked)?));
    let topics: Vec<_> = known.filter(|(_, partitions)| !partitions.is_empty()).collect();
    if topics.is_empty() && !answers.is_empty() {
        return OffsetDeleteResponse { topics: answers, ..OffsetDeleteResponse::default() };
    }
    let group = request.group_id.to_string();
    let delete = DeleteOffsets { group: group.clone(), topics };
    let result = match coordinate(&context, &group, Request::DeleteOffsets(delete)).await {
        Ok(Response::DeleteOffsets(result)) => result.map_err(of_group),
        Ok(other) => Err(unexpected(&other)),
        Err(code) => Err(code),
    };
    match result {
        Ok(results) => {
            let open = answers.iter_mut().flat_map(|topic| &mut topic.partitions);
            let open = open.filter(|partition| partition.error_code == ErrorCode::NONE);
            let results = results.into_iter().flat_map(|(_, partitions)| partitions);
            open.zip(results).for_each(|(answer, (_, result))| answer.error_code = code(result));
            OffsetDeleteResponse { topics: answers, ..OffsetDeleteResponse::default() }
        }
        Err(error_code) => OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() },
    }
}

fn existing(asked: &OffsetDeleteRequestTopic, topic: &Topic) -> Option<(TopicName, Vec<i32>)> {
    let indexes = asked.partitions.iter().map(|partition| partition.partition_index);
    Some((topic.name.clone(), indexes.filter(|index| topic.partition(*index).is_some()).collect()))
}

fn unknown(asked: &OffsetDeleteRequestTopic, topic: Option<&Topic>) -> OffsetDeleteResponseTopic {
    let partition = |index: i32| OffsetDeleteResponsePartition {
        partition_index: index,
        error_code: match topic.and_then(|topic| topic.partition(index)) {
            Some(_) => ErrorCode::NONE,
            None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        },
    };
    OffsetDeleteResponseTopic {
        name: asked.name.clone(),
        partitions: asked.partitions.iter().map(|p| partition(p.partition_index)).collect(),
    }
}
