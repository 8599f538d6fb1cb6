//! ConsumerGroupDescribe (KIP-848): groups of the consumer protocol and their members.

use ottla_core::group::{DescribedConsumer, DescribedConsumerGroup, NamedPartitions, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup, Member, TopicPartitions,
};

use super::Context;
use super::groups::{self, OPERATIONS, Refused, serves_consumer_protocol, unexpected};

/// `member_type` of members of the classic protocol.
const CLASSIC: i8 = 0;
/// `member_type` of members of the consumer protocol.
const CONSUMER: i8 = 1;

/// Describes each group asked for.
pub(super) async fn handle(context: Context, request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
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
    ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() }
}

async fn describe(context: &Context, name: &str) -> Result<DescribedConsumerGroup, Refused> {
    groups::describe(context, serves_consumer_protocol(context), name, Request::DescribeConsumer, |response| {
        match response {
            Response::DescribeConsumer(found) => Ok(found),
            other => Err(unexpected(&other)),
        }
    })
    .await
}

fn described(name: Str, found: DescribedConsumerGroup) -> DescribedGroup {
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

fn member(found: DescribedConsumer) -> Member {
    Member {
        member_id: found.member_id.into(),
        instance_id: found.instance_id.map(Str::from),
        rack_id: found.rack_id.map(Str::from),
        member_epoch: found.epoch,
        client_id: found.client_id.into(),
        client_host: found.client_host.into(),
        subscribed_topic_names: found.topics.into_iter().map(Str::from).collect(),
        subscribed_topic_regex: Some(found.regex.unwrap_or_default().into()),
        assignment: assignment(found.assignment),
        target_assignment: assignment(found.target),
        member_type: if found.is_classic { CLASSIC } else { CONSUMER },
    }
}

fn assignment(partitions: NamedPartitions) -> Assignment {
    let topic =
        |(id, name, partitions): (ottla_core::TopicId, ottla_core::TopicName, std::collections::BTreeSet<i32>)| {
            TopicPartitions {
                topic_id: id.0,
                topic_name: name.as_str().into(),
                partitions: partitions.into_iter().collect(),
            }
        };
    Assignment { topic_partitions: partitions.into_iter().map(topic).collect() }
}
