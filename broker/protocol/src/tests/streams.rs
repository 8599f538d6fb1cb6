//! Streams groups (KIP-1071), against what Kafka 4.3.1's own classes write.

use super::encoded;
use super::golden::hex;
use crate::codec::{Message, Reader};
use crate::messages::streams_group_heartbeat::{
    CopartitionGroup, Endpoint, EndpointToPartitions, KeyValue, Status, Subtopology, TaskIds, TaskOffset, TopicInfo,
    TopicPartition, Topology,
};
use crate::messages::*;

/// Holds that `message` is written like this, and read back as it was.
fn same<M: Message>(message: &M, bytes: &str) {
    assert_eq!(encoded(message, 0), hex(bytes));
    let mut reader = Reader::new(hex(bytes));
    assert_eq!(M::decode(&mut reader, 0).unwrap(), *message);
    reader.expect_end().unwrap();
}

fn tasks(subtopology: &str, partitions: &[i32]) -> Vec<TaskIds> {
    vec![TaskIds { subtopology_id: subtopology.into(), partitions: partitions.to_vec() }]
}

fn offsets(offset: i64) -> Vec<TaskOffset> {
    vec![TaskOffset { subtopology_id: "0".into(), partition: 1, offset }]
}

fn pair(key: &str, value: &str) -> Vec<KeyValue> {
    vec![KeyValue { key: key.into(), value: value.into() }]
}

fn changelog(partitions: i32) -> TopicInfo {
    TopicInfo { name: "c".into(), partitions, replication_factor: 2, topic_configs: pair("k", "v") }
}

fn repartition(partitions: i32) -> TopicInfo {
    TopicInfo { name: "p".into(), partitions, ..Default::default() }
}

#[test]
fn what_is_left_out_of_a_heartbeat_is_null_and_of_its_answer_only_what_has_not_changed() {
    same(
        &StreamsGroupHeartbeatRequest::default(),
        "01 01 00000000 00000000 00 00 ffffffff ff 00 00 00 00 ff 00 00 00 00 00",
    );
    let bytes = "00000000 0000 00 01 00000000 00000000 00000000 00000000 01 00 00 00 00000000 00 00";
    same(&StreamsGroupHeartbeatResponse::default(), bytes);
}

#[test]
fn streams_group_heartbeat_carries_a_topology_and_tasks() {
    let subtopology = Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec!["s".into()],
        source_topic_regex: vec!["x.*".into()],
        state_changelog_topics: vec![changelog(0)],
        repartition_sink_topics: vec!["n".into()],
        repartition_source_topics: vec![repartition(5)],
        copartition_groups: vec![CopartitionGroup {
            source_topics: vec![0],
            source_topic_regex: vec![1],
            repartition_source_topics: vec![2],
        }],
    };
    let request = StreamsGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: "m".into(),
        endpoint_information_epoch: 3,
        instance_id: Some("i".into()),
        rack_id: Some("r".into()),
        rebalance_timeout_ms: 9,
        topology: Some(Topology { epoch: 4, subtopologies: vec![subtopology] }),
        active_tasks: Some(tasks("0", &[1, 2])),
        standby_tasks: Some(Vec::new()),
        process_id: Some("q".into()),
        user_endpoint: Some(Endpoint { host: "h".into(), port: 65535 }),
        client_tags: Some(pair("z", "y")),
        task_offsets: Some(offsets(7)),
        task_end_offsets: Some(offsets(8)),
        shutdown_application: true,
        ..Default::default()
    };
    let bytes = "02 67 02 6d 00000000 00000003 02 69 02 72 00000009 \
                 01 00000004 02 02 30 02 02 73 02 04 782e2a 02 02 63 00000000 0002 02 02 6b 02 76 00 00 02 02 6e \
                 02 02 70 00000005 0000 01 00 02 02 0000 02 0001 02 0002 00 00 00 \
                 02 02 30 03 00000001 00000002 00 01 00 02 71 01 02 68 ffff 00 02 02 7a 02 79 00 \
                 02 02 30 00000001 0000000000000007 00 02 02 30 00000001 0000000000000008 00 01 00";
    same(&request, bytes);
}

#[test]
fn the_answer_to_a_streams_group_heartbeat_tells_states_tasks_and_endpoints() {
    let partitions = |topic: &str, partition| vec![TopicPartition { topic: topic.into(), partitions: vec![partition] }];
    let response = StreamsGroupHeartbeatResponse {
        throttle_time_ms: 1,
        error_message: Some("e".into()),
        member_id: "m".into(),
        member_epoch: 2,
        heartbeat_interval_ms: 3,
        acceptable_recovery_lag: 4,
        task_offset_interval_ms: 5,
        status: Some(vec![Status { status_code: 3, status_detail: "d".into() }]),
        active_tasks: Some(tasks("0", &[1])),
        standby_tasks: Some(Vec::new()),
        endpoint_information_epoch: 6,
        partitions_by_user_endpoint: Some(vec![EndpointToPartitions {
            user_endpoint: Endpoint { host: "h".into(), port: 80 },
            active_partitions: partitions("t", 1),
            standby_partitions: partitions("u", 2),
        }]),
        ..Default::default()
    };
    let bytes = "00000001 0000 02 65 02 6d 00000002 00000003 00000004 00000005 02 03 02 64 00 \
                 02 02 30 02 00000001 00 01 00 00000006 02 02 68 0050 00 02 02 74 02 00000001 00 \
                 02 02 75 02 00000002 00 00 00";
    same(&response, bytes);
}

#[test]
fn streams_group_describe_tells_topology_members_and_tasks() {
    use streams_group_describe::{Assignment, DescribedGroup, Member, Subtopology, Topology};
    let group_ids = vec!["g".into()];
    same(&StreamsGroupDescribeRequest { group_ids, include_authorized_operations: true }, "02 02 67 01 00");
    let subtopology = Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec!["s".into()],
        repartition_sink_topics: vec!["n".into()],
        state_changelog_topics: vec![changelog(5)],
        repartition_source_topics: vec![repartition(6)],
    };
    let member = Member {
        member_id: "m".into(),
        member_epoch: 7,
        instance_id: Some("i".into()),
        client_id: "c".into(),
        client_host: "/1".into(),
        topology_epoch: 8,
        process_id: "q".into(),
        user_endpoint: Some(Endpoint { host: "h".into(), port: 80 }),
        client_tags: pair("z", "y"),
        task_offsets: offsets(7),
        task_end_offsets: offsets(8),
        assignment: Assignment { active_tasks: tasks("0", &[1]), ..Default::default() },
        target_assignment: Assignment { standby_tasks: tasks("1", &[2]), ..Default::default() },
        is_classic: true,
        ..Default::default()
    };
    let group = DescribedGroup {
        error_message: Some("e".into()),
        group_id: "g".into(),
        group_state: "Stable".into(),
        group_epoch: 2,
        assignment_epoch: 3,
        topology: Some(Topology { epoch: 4, subtopologies: Some(vec![subtopology]) }),
        members: vec![member],
        authorized_operations: 9,
        ..Default::default()
    };
    let response = StreamsGroupDescribeResponse { throttle_time_ms: 1, groups: vec![group] };
    let bytes = "00000001 02 0000 02 65 02 67 07 537461626c65 00000002 00000003 01 00000004 02 02 30 02 02 73 02 02 6e \
                 02 02 63 00000005 0002 02 02 6b 02 76 00 00 02 02 70 00000006 0000 01 00 00 00 \
                 02 02 6d 00000007 02 69 00 02 63 03 2f31 00000008 02 71 01 02 68 0050 00 02 02 7a 02 79 00 \
                 02 02 30 00000001 0000000000000007 00 02 02 30 00000001 0000000000000008 00 \
                 02 02 30 02 00000001 00 01 01 00 01 02 02 31 02 00000002 00 01 00 01 00 00000009 00 00";
    same(&response, bytes);
}
