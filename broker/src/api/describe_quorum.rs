//! DescribeQuorum: voters and observers of the metadata log, as its leader knows them (KIP-595, KIP-836, KIP-853).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_quorum::{
    Listener, Node, PartitionData, ReplicaState, ResponsePartitionData, ResponseTopicData, TopicData,
};
use ottla_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use uuid::Uuid;

use super::Context;
use crate::controller::quorum::{Member, Members};

/// The first version that tells members by their disks, and where they listen.
const DISKS_SINCE: i16 = 2;
/// What Kafka calls the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Asks the leader. Only the one partition of the metadata log can be asked about.
pub async fn handle(context: Context, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    if !asks_for_metadata(&request.topics) {
        return unknown(&request.topics);
    }
    let Some(log) = context.broker.quorum.get() else { return not_leader() };
    match log.describe().await {
        Ok(members) => {
            let answer = described(&members, context.broker.config.listeners.controller.as_ref());
            if context.version < DISKS_SINCE { without_disks(answer) } else { answer }
        }
        Err(_) => not_leader(),
    }
}

fn asks_for_metadata(topics: &[TopicData]) -> bool {
    let partitions = |topic: &TopicData| matches!(topic.partitions[..], [PartitionData { partition_index: 0 }]);
    matches!(topics, [topic] if &*topic.topic_name == METADATA_TOPIC && partitions(topic))
}

fn unknown(topics: &[TopicData]) -> DescribeQuorumResponse {
    let partition = |partition: &PartitionData| ResponsePartitionData {
        partition_index: partition.partition_index,
        error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ..ResponsePartitionData::default()
    };
    let topic = |topic: &TopicData| ResponseTopicData {
        topic_name: topic.topic_name.clone(),
        partitions: topic.partitions.iter().map(partition).collect(),
    };
    DescribeQuorumResponse { topics: topics.iter().map(topic).collect(), ..DescribeQuorumResponse::default() }
}

/// Clients ask again, at any broker.
fn not_leader() -> DescribeQuorumResponse {
    let error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    DescribeQuorumResponse { error_code, error_message: None, ..DescribeQuorumResponse::default() }
}

fn described(members: &Members, listener: Option<&crate::config::Endpoint>) -> DescribeQuorumResponse {
    let (voters, observers): (Vec<_>, Vec<_>) = members.all.iter().partition(|member| member.is_voter);
    let partition = ResponsePartitionData {
        partition_index: 0,
        error_code: ErrorCode::NONE,
        error_message: None,
        leader_id: members.leader.map_or(-1, |leader| leader.broker().0),
        leader_epoch: i32::try_from(members.term).unwrap_or(i32::MAX),
        high_watermark: offset(members.high_watermark),
        current_voters: voters.iter().map(|member| replica(member)).collect(),
        observers: observers.into_iter().map(replica).collect(),
    };
    let topic = ResponseTopicData { topic_name: METADATA_TOPIC.into(), partitions: vec![partition] };
    let name = listener.map_or("CONTROLLER", |listener| listener.name.as_str());
    DescribeQuorumResponse {
        error_code: ErrorCode::NONE,
        error_message: None,
        topics: vec![topic],
        nodes: voters.into_iter().map(|member| node(member, name)).collect(),
    }
}

/// The answer as earlier versions have it.
fn without_disks(mut answer: DescribeQuorumResponse) -> DescribeQuorumResponse {
    for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let members = partition.current_voters.iter_mut().chain(&mut partition.observers);
        members.for_each(|member| member.replica_directory_id = Uuid::nil());
    }
    answer.nodes.clear();
    answer
}

fn replica(member: &Member) -> ReplicaState {
    ReplicaState {
        replica_id: member.id.broker().0,
        replica_directory_id: member.id.directory().0,
        log_end_offset: member.log_end.map_or(-1, offset),
        last_fetch_timestamp: member.heard_at.map_or(-1, |at| at.0),
        last_caught_up_timestamp: member.caught_up_at.map_or(-1, |at| at.0),
    }
}

fn node(member: &Member, listener: &str) -> Node {
    let (host, port) = member.address.rsplit_once(':').unwrap_or((&member.address, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let listener = Listener { name: listener.into(), host: host.into(), port: port.parse().unwrap_or(0) };
    Node { node_id: member.id.broker().0, listeners: vec![listener] }
}

fn offset(end: u64) -> i64 {
    i64::try_from(end).unwrap_or(i64::MAX)
}
