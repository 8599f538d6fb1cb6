//! DescribeShareGroupOffsets (KIP-932, KIP-1226): where share groups stand, which the share coordinators know, and how
//! far that is from the ends of the partitions, which their leaders know.

use std::collections::BTreeMap;

use futures::future::join_all;
use ottla_core::group::{Partitions, Request, Response};
use ottla_core::metadata::Image;
use ottla_core::{BrokerId, TopicId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_share_group_offsets::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, RequestGroup, RequestTopic, ResponseGroup,
    ResponsePartition, ResponseTopic,
};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use super::Context;
use super::groups::{coordinate, serves_share_groups, unexpected};
use crate::group::{Summary, summaries};

/// The timestamp that asks for the end of a partition.
const LATEST: i64 = -1;

/// Describes each group asked for.
pub(super) async fn handle(
    context: Context,
    request: DescribeShareGroupOffsetsRequest,
) -> DescribeShareGroupOffsetsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for RequestGroup { group_id, topics } in request.groups {
        let described = describe(&context, &group_id, topics).await;
        groups.push(match described {
            Ok(topics) => ResponseGroup { group_id, topics, ..ResponseGroup::default() },
            Err(error_code) => ResponseGroup { group_id, error_code, ..ResponseGroup::default() },
        });
    }
    DescribeShareGroupOffsetsResponse { groups, ..DescribeShareGroupOffsetsResponse::default() }
}

async fn describe(
    context: &Context,
    group: &str,
    topics: Option<Vec<RequestTopic>>,
) -> Result<Vec<ResponseTopic>, ErrorCode> {
    if !serves_share_groups(context) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    let initialized = match coordinate(context, group, Request::SharePartitions(group.to_owned())).await? {
        Response::SharePartitions(partitions) => partitions,
        other => return Err(unexpected(&other)),
    };
    let image = context.broker.image();
    let asked = match topics {
        Some(topics) => topics,
        None => all(&initialized, &image),
    };
    let known = asked.iter().filter_map(|topic| Some((image.topic(&topic.topic_name)?.id, topic)));
    let wanted = known.flat_map(|(id, topic)| topic.partitions.iter().map(move |index| (id, *index)));
    // What has no state has no beginning either.
    let wanted: Partitions = wanted.filter(|(id, index)| initialized.contains(*id, *index)).collect();
    let found = summaries(&context.broker, group, &wanted).await;
    let begun = wanted.filter(|id, index| found.get(&(id, index)).is_some_and(has_lag));
    let ends = ends(context, &image, &begun).await;
    let answers = asked.into_iter().map(|topic| {
        let id = image.topic(&topic.topic_name).map(|topic| topic.id);
        let partition = |index: i32| {
            let at = id.map(|id| (id, index));
            let found = at.and_then(|at| found.get(&at));
            answer(index, found, at.and_then(|at| ends.get(&at).copied()))
        };
        let partitions = topic.partitions.into_iter().map(partition).collect();
        ResponseTopic { topic_name: topic.topic_name, topic_id: id.map(|id| id.0).unwrap_or_default(), partitions }
    });
    Ok(answers.collect())
}

/// The partitions of the group, as a client would ask for them.
fn all(initialized: &Partitions, image: &Image) -> Vec<RequestTopic> {
    let topics = initialized.topics().filter_map(|(id, partitions)| {
        let topic_name = image.topics().by_id(id)?.name.as_str().into();
        Some(RequestTopic { topic_name, partitions: partitions.iter().copied().collect() })
    });
    topics.collect()
}

fn has_lag(found: &Result<Summary, ErrorCode>) -> bool {
    found.is_ok_and(|summary| summary.start.is_some() && summary.complete.is_some())
}

/// What is told of a partition, whose end is none where it was not asked for.
fn answer(
    partition_index: i32,
    found: Option<&Result<Summary, ErrorCode>>,
    end: Option<Result<i64, ErrorCode>>,
) -> ResponsePartition {
    let nothing = ResponsePartition { partition_index, start_offset: -1, ..ResponsePartition::default() };
    let summary = match found {
        None => return nothing,
        Some(Err(error_code)) => {
            return ResponsePartition { partition_index, error_code: *error_code, ..ResponsePartition::default() };
        }
        Some(Ok(summary)) => summary,
    };
    let Summary { start: Some(start), leader_epoch, complete } = *summary else {
        return ResponsePartition { leader_epoch: summary.leader_epoch, ..nothing };
    };
    let lag = match end {
        Some(Ok(end)) => end - start.0 - i64::from(complete.unwrap_or_default()),
        Some(Err(error_code)) => {
            return ResponsePartition { partition_index, error_code, ..ResponsePartition::default() };
        }
        None => -1,
    };
    ResponsePartition { partition_index, start_offset: start.0, leader_epoch, lag, ..ResponsePartition::default() }
}

/// The ends of partitions, as their leaders tell them.
async fn ends(
    context: &Context,
    image: &Image,
    partitions: &Partitions,
) -> BTreeMap<(TopicId, i32), Result<i64, ErrorCode>> {
    let mut ends: BTreeMap<_, _> = partitions.iter().map(|at| (at, Err(ErrorCode::LEADER_NOT_AVAILABLE))).collect();
    let mut by_leader: BTreeMap<BrokerId, Vec<(TopicId, ListOffsetsTopic)>> = BTreeMap::new();
    for (id, index) in partitions.iter() {
        let Some(topic) = image.topics().by_id(id) else { continue };
        let Some(state) = topic.partition(index).filter(|state| state.leader != BrokerId::NONE) else { continue };
        let partition =
            ListOffsetsPartition { partition_index: index, timestamp: LATEST, ..ListOffsetsPartition::default() };
        let topics = by_leader.entry(state.leader).or_default();
        match topics.last_mut().filter(|(last, _)| *last == id) {
            Some((_, asked)) => asked.partitions.push(partition),
            None => {
                let asked = ListOffsetsTopic { name: topic.name.as_str().into(), partitions: vec![partition] };
                topics.push((id, asked));
            }
        }
    }
    let told = join_all(by_leader.into_iter().map(|(leader, topics)| ends_there(context, leader, topics))).await;
    ends.extend(told.into_iter().flatten());
    ends
}

async fn ends_there(
    context: &Context,
    leader: BrokerId,
    topics: Vec<(TopicId, ListOffsetsTopic)>,
) -> Vec<((TopicId, i32), Result<i64, ErrorCode>)> {
    let (ids, topics): (Vec<TopicId>, Vec<ListOffsetsTopic>) = topics.into_iter().unzip();
    let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
    let Ok(response) = context.broker.peers.call(&context.broker, leader, &request).await else { return Vec::new() };
    let told = ids.into_iter().zip(response.topics).flat_map(|(id, topic)| {
        let end = |found: ottla_protocol::messages::list_offsets::ListOffsetsPartitionResponse| {
            ((id, found.partition_index), found.error_code.ok().map(|()| found.offset))
        };
        topic.partitions.into_iter().map(end).collect::<Vec<_>>()
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use ottla_core::Offset;

    use super::*;

    #[test]
    fn the_lag_is_what_is_not_done_with_up_to_the_end() {
        let summary = |start, complete| Ok(Summary { start, leader_epoch: 3, complete });
        let told = |found: Result<Summary, ErrorCode>, end| {
            let answer = answer(1, Some(&found), end);
            (answer.start_offset, answer.leader_epoch, answer.lag, answer.error_code)
        };
        assert_eq!(told(summary(Some(Offset(5)), Some(2)), Some(Ok(10))), (5, 3, 3, ErrorCode::NONE));
        assert_eq!(told(summary(Some(Offset(5)), None), None), (5, 3, -1, ErrorCode::NONE), "not known");
        assert_eq!(told(summary(None, Some(0)), None), (-1, 3, -1, ErrorCode::NONE), "not begun");
        let failed = ErrorCode::LEADER_NOT_AVAILABLE;
        assert_eq!(told(summary(Some(Offset(5)), Some(0)), Some(Err(failed))).3, failed);
        assert_eq!(told(Err(ErrorCode::NOT_COORDINATOR), None).3, ErrorCode::NOT_COORDINATOR);
        assert_eq!(answer(1, None, None).start_offset, -1);
    }
}
