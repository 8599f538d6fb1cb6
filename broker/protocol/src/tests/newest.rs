//! The versions that the differential test's other implementation lacks, against what Kafka 4.3.1's own classes write.

use uuid::Uuid;

use super::encoded;
use super::golden::hex;
use crate::ErrorCode;
use crate::messages::describe_log_dirs::DescribeLogDirsResult;
use crate::messages::fetch::{FetchPartition, FetchTopic, ReplicaState};
use crate::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic, ListOffsetsTopicResponse,
};
use crate::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopic,
    WritableTxnMarkerTopicResult,
};
use crate::messages::*;

const ID: Uuid = Uuid::from_u128(0x0102030405060708090a0b0c0d0e0f10);

#[test]
fn offset_commit_v10_and_offset_fetch_v10_name_topics_by_id() {
    let partition = OffsetCommitRequestPartition {
        partition_index: 2,
        committed_offset: 77,
        committed_metadata: Some("x".into()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic { topic_id: ID, partitions: vec![partition], ..Default::default() };
    let commit = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: 4,
        member_id: "m".into(),
        topics: vec![topic],
        ..Default::default()
    };
    let bytes = "02 67 00000004 02 6d 00 02 0102030405060708090a0b0c0d0e0f10 02 00000002 000000000000004d ffffffff 02 78 00 00 00";
    assert_eq!(encoded(&commit, 10), hex(bytes));

    let topic = OffsetFetchRequestTopics { topic_id: ID, partition_indexes: vec![1, 2], ..Default::default() };
    let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
    let fetch = OffsetFetchRequest { require_stable: true, groups: vec![group], ..Default::default() };
    let bytes = "02 02 67 00 ffffffff 02 0102030405060708090a0b0c0d0e0f10 03 00000001 00000002 00 00 01 00";
    assert_eq!(encoded(&fetch, 10), hex(bytes));
}

#[test]
fn describe_log_dirs_v5_says_whether_a_directory_is_cordoned() {
    let directory = DescribeLogDirsResult {
        log_dir: "/d".into(),
        total_bytes: 9,
        usable_bytes: 8,
        is_cordoned: true,
        ..Default::default()
    };
    let response = DescribeLogDirsResponse { results: vec![directory], ..Default::default() };
    let bytes = "00000000 0000 02 0000 03 2f64 01 0000000000000009 0000000000000008 01 00 00";
    assert_eq!(encoded(&response, 5), hex(bytes));
    assert_eq!(encoded(&DescribeLogDirsRequest { topics: None }, 5), hex("00 00"));
}

#[test]
fn list_offsets_v11_carries_its_timestamp_marks() {
    let partition = ListOffsetsPartition { partition_index: 1, timestamp: -6, ..Default::default() };
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }];
    let request = ListOffsetsRequest { replica_id: -1, timeout_ms: 30, topics, ..Default::default() };
    let bytes = "ffffffff 00 02 02 74 02 00000001 ffffffff fffffffffffffffa 00 00 0000001e 00";
    assert_eq!(encoded(&request, 11), hex(bytes));

    let partition =
        ListOffsetsPartitionResponse { partition_index: 1, offset: 5, leader_epoch: 3, ..Default::default() };
    let topics = vec![ListOffsetsTopicResponse { name: "t".into(), partitions: vec![partition] }];
    let response = ListOffsetsResponse { topics, ..Default::default() };
    let bytes = "00000000 02 02 74 02 00000001 0000 ffffffffffffffff 0000000000000005 00000003 00 00 00";
    assert_eq!(encoded(&response, 11), hex(bytes));
}

#[test]
fn init_producer_id_v6_knows_two_phase_commit() {
    let request = InitProducerIdRequest {
        transactional_id: Some("x".into()),
        transaction_timeout_ms: 9,
        enable_2pc: true,
        keep_prepared_txn: true,
        ..Default::default()
    };
    assert_eq!(encoded(&request, 6), hex("02 78 00000009 ffffffffffffffff ffff 01 01 00"));
}

#[test]
fn fetch_v18_tags_the_followers_directory_and_watermark() {
    let partition = FetchPartition {
        partition: 1,
        fetch_offset: 7,
        partition_max_bytes: 100,
        high_watermark: 6,
        replica_directory_id: ID,
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms: 5,
        min_bytes: 1,
        replica_state: ReplicaState { replica_id: 2, replica_epoch: 3 },
        topics: vec![FetchTopic { topic_id: ID, partitions: vec![partition], ..Default::default() }],
        ..Default::default()
    };
    let bytes = "00000005 00000001 7fffffff 00 00000000 ffffffff 02 0102030405060708090a0b0c0d0e0f10 02 00000001 ffffffff \
                 0000000000000007 ffffffff ffffffffffffffff 00000064 02 00 10 0102030405060708090a0b0c0d0e0f10 \
                 01 08 0000000000000006 00 01 01 01 01 0d 00000002 0000000000000003 00";
    assert_eq!(encoded(&request, 18), hex(bytes));
}

#[test]
fn write_txn_markers_v2_says_by_which_rules_the_transaction_ended() {
    let marker = WritableTxnMarker {
        producer_id: 7,
        producer_epoch: 3,
        transaction_result: true,
        topics: vec![WritableTxnMarkerTopic { name: "a".into(), partition_indexes: vec![1, 2] }],
        coordinator_epoch: 9,
        transaction_version: 2,
    };
    let request = WriteTxnMarkersRequest { markers: vec![marker] };
    let bytes = "02 0000000000000007 0003 01 02 02 61 03 00000001 00000002 00 00000009 02 00 00";
    assert_eq!(encoded(&request, 2), hex(bytes));

    let partition =
        WritableTxnMarkerPartitionResult { partition_index: 1, error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER };
    let topic = WritableTxnMarkerTopicResult { name: "a".into(), partitions: vec![partition] };
    let result = WritableTxnMarkerResult { producer_id: 7, topics: vec![topic] };
    let response = WriteTxnMarkersResponse { markers: vec![result] };
    assert_eq!(encoded(&response, 2), hex("02 0000000000000007 02 02 61 02 00000001 0006 00 00 00 00"));
}
