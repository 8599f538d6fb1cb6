//! ShareAcknowledge (KIP-932, KIP-1222): what a member of a share group did with its records.

use futures::future::join_all;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::share_acknowledge::{
    AcknowledgeTopic, LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareAcknowledgeRequest, ShareAcknowledgeResponse,
    ShareAcknowledgeTopicResponse,
};

use super::share_groups::{Unserved, lock_millis, member_of, say};
use super::{Context, leaders};
use crate::share::{FINAL, Member, take_leave};

/// Answers once what was said is durable.
pub(super) async fn handle(context: Context, request: ShareAcknowledgeRequest) -> ShareAcknowledgeResponse {
    match acknowledge(&context, request).await {
        Ok(response) => response,
        Err(error_code) => ShareAcknowledgeResponse { error_code, ..ShareAcknowledgeResponse::default() },
    }
}

async fn acknowledge(
    context: &Context,
    request: ShareAcknowledgeRequest,
) -> Result<ShareAcknowledgeResponse, ErrorCode> {
    let member = member_of(context, request.group_id.as_ref(), request.member_id.as_ref())?;
    let epoch = request.share_session_epoch;
    context.broker.share_sessions.acknowledge(&member, epoch)?;
    let topics = request.topics.into_iter().map(|topic| said(context, &member, topic, request.is_renew_ack));
    let responses: Vec<_> = join_all(topics).await;
    if epoch == FINAL {
        take_leave(&context.broker, &member, context.broker.share_sessions.end(&member)).await;
    }
    let pointed_to = responses.iter().flat_map(|topic| &topic.partitions).map(|one| one.current_leader.leader_id);
    let pointed_to: Vec<i32> = pointed_to.filter(|id| *id >= 0).collect();
    let endpoint = |leaders::Address { id, host, port, rack }| NodeEndpoint { node_id: id, host, port, rack };
    let addresses = leaders::addresses(&context.broker.image(), &context.peer.listener, pointed_to);
    Ok(ShareAcknowledgeResponse {
        acquisition_lock_timeout_ms: lock_millis(context, &member.0),
        responses,
        node_endpoints: addresses.into_iter().map(endpoint).collect(),
        ..ShareAcknowledgeResponse::default()
    })
}

async fn said(
    context: &Context,
    member: &Member,
    topic: AcknowledgeTopic,
    renews: bool,
) -> ShareAcknowledgeTopicResponse {
    let topic_id = topic.topic_id;
    let partitions = topic.partitions.into_iter().map(|partition| async move {
        let said = partition.acknowledgement_batches.into_iter();
        let said = said.map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types)).collect();
        let index = partition.partition_index;
        answer(index, say(context, member, (topic_id, index), said, renews).await)
    });
    ShareAcknowledgeTopicResponse { topic_id, partitions: join_all(partitions).await }
}

fn answer(partition_index: i32, result: Result<(), Unserved>) -> PartitionData {
    let nobody = LeaderIdAndEpoch { leader_id: -1, leader_epoch: -1 };
    let mut data = PartitionData { partition_index, current_leader: nobody, ..PartitionData::default() };
    if let Err(Unserved { code, leader }) = result {
        data.error_code = code;
        if let Some((leader_id, leader_epoch)) = leader {
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
        }
    }
    data
}
