//! ShareGroupDescribe (KIP-932): share groups and their members.

use ottla_core::group::{DescribedShareGroup, DescribedShareMember, NamedPartitions, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::share_group_describe::{
    Assignment, DescribedGroup, Member, ShareGroupDescribeRequest, ShareGroupDescribeResponse, TopicPartitions,
};

use super::Context;
use super::groups::{self, OPERATIONS, Refused, serves_share_groups, unexpected};

/// Describes each group asked for.
pub(super) async fn handle(context: Context, request: ShareGroupDescribeRequest) -> ShareGroupDescribeResponse {
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
    ShareGroupDescribeResponse { groups, ..ShareGroupDescribeResponse::default() }
}

async fn describe(context: &Context, name: &str) -> Result<DescribedShareGroup, Refused> {
    groups::describe(context, serves_share_groups(context), name, Request::DescribeShare, |response| match response {
        Response::DescribeShare(found) => Ok(found),
        other => Err(unexpected(&other)),
    })
    .await
}

fn described(name: Str, found: DescribedShareGroup) -> DescribedGroup {
    DescribedGroup {
        group_id: name,
        group_state: found.state.name().into(),
        group_epoch: found.epoch,
        assignment_epoch: found.assignment_epoch,
        assignor_name: found.assignor.into(),
        members: found.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn member(found: DescribedShareMember) -> Member {
    Member {
        member_id: found.member_id.into(),
        rack_id: found.rack_id.map(Str::from),
        member_epoch: found.epoch,
        client_id: found.client_id.into(),
        client_host: found.client_host.into(),
        subscribed_topic_names: found.topics.into_iter().map(Str::from).collect(),
        assignment: assignment(found.assignment),
    }
}

fn assignment(partitions: NamedPartitions) -> Assignment {
    let topics = partitions.into_iter().map(|(id, name, partitions)| TopicPartitions {
        topic_id: id.0,
        topic_name: name.as_str().into(),
        partitions: partitions.into_iter().collect(),
    });
    Assignment { topic_partitions: topics.collect() }
}
