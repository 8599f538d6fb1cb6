//! StreamsGroupDescribe (KIP-1071): streams groups with their topologies, members and tasks.

use ottla_core::group::{DescribedStreamsGroup, DescribedStreamsMember, Request, Response, StreamsTopology, TaskSets};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::streams_group_describe::{
    Assignment, DescribedGroup, Member, StreamsGroupDescribeRequest, StreamsGroupDescribeResponse, Subtopology,
    Topology,
};

use super::Context;
use super::groups::{self, OPERATIONS, Refused, serves_streams_protocol, unexpected};
use super::streams_groups::{endpoint, pairs, task_ids, topic_info};

/// Describes each group asked for.
pub(super) async fn handle(context: Context, request: StreamsGroupDescribeRequest) -> StreamsGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for name in request.group_ids {
        let mut answer = match describe(&context, &name).await {
            Ok(found) => described(name, found),
            Err((error_code, message)) => DescribedGroup {
                error_code,
                error_message: message.map(Str::from),
                group_id: name,
                ..DescribedGroup::default()
            },
        };
        if request.include_authorized_operations && answer.error_code == ErrorCode::NONE {
            answer.authorized_operations = OPERATIONS;
        }
        groups.push(answer);
    }
    StreamsGroupDescribeResponse { groups, ..StreamsGroupDescribeResponse::default() }
}

async fn describe(context: &Context, name: &str) -> Result<DescribedStreamsGroup, Refused> {
    groups::describe(context, serves_streams_protocol(context), name, Request::DescribeStreams, |response| {
        match response {
            Response::DescribeStreams(found) => Ok(found),
            other => Err(unexpected(&other)),
        }
    })
    .await
}

fn described(name: Str, found: DescribedStreamsGroup) -> DescribedGroup {
    DescribedGroup {
        group_id: name,
        group_state: found.state.name().into(),
        group_epoch: found.epoch,
        assignment_epoch: found.assignment_epoch,
        topology: Some(topology(found.topology)),
        members: found.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn topology(found: StreamsTopology) -> Topology {
    let texts = |texts: Vec<String>| texts.into_iter().map(Str::from).collect();
    let subtopologies = found.subtopologies.into_iter().map(|part| Subtopology {
        subtopology_id: (&*part.id).into(),
        source_topics: texts(part.source_topics),
        repartition_sink_topics: texts(part.repartition_sink_topics),
        state_changelog_topics: part.changelog_topics.into_iter().map(topic_info).collect(),
        repartition_source_topics: part.repartition_source_topics.into_iter().map(topic_info).collect(),
    });
    Topology { epoch: found.epoch, subtopologies: Some(subtopologies.collect()) }
}

fn member(found: DescribedStreamsMember) -> Member {
    Member {
        member_id: found.member_id.into(),
        member_epoch: found.epoch,
        instance_id: found.instance_id.map(Str::from),
        rack_id: found.rack_id.map(Str::from),
        client_id: found.client_id.into(),
        client_host: found.client_host.into(),
        topology_epoch: found.topology_epoch,
        process_id: found.process_id.into(),
        user_endpoint: found.user_endpoint.map(endpoint),
        client_tags: pairs(found.client_tags),
        assignment: assignment(&found.assignment),
        target_assignment: assignment(&found.target),
        ..Member::default()
    }
}

fn assignment(tasks: &TaskSets) -> Assignment {
    Assignment {
        active_tasks: task_ids(&tasks.active),
        standby_tasks: task_ids(&tasks.standby),
        warmup_tasks: task_ids(&tasks.warmup),
    }
}
