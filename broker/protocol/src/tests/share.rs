//! Share groups at the versions that came with Kafka 4.2 (KIP-1206, KIP-1222, KIP-1226), against what Kafka 4.3.1's own
//! classes write.

use uuid::Uuid;

use super::encoded;
use super::golden::hex;
use crate::ErrorCode;
use crate::codec::Records;
use crate::messages::*;

const ID: Uuid = Uuid::from_u128(0x0102030405060708090a0b0c0d0e0f10);

#[test]
fn share_fetch_v2_has_an_acquire_mode_and_renewals() {
    use share_fetch::*;
    let batch = AcknowledgementBatch { first_offset: 5, last_offset: 7, acknowledge_types: vec![4] };
    let partition = FetchPartition { partition_index: 1, acknowledgement_batches: vec![batch] };
    let request = ShareFetchRequest {
        group_id: Some("g".into()),
        member_id: Some("m".into()),
        share_session_epoch: 3,
        max_wait_ms: 5,
        min_bytes: 1,
        max_records: 9,
        batch_size: 8,
        share_acquire_mode: 1,
        is_renew_ack: true,
        topics: vec![FetchTopic { topic_id: ID, partitions: vec![partition] }],
        forgotten_topics_data: vec![ForgottenTopic { topic_id: ID, partitions: vec![2] }],
        ..Default::default()
    };
    let bytes = "02 67 02 6d 00000003 00000005 00000001 7fffffff 00000009 00000008 01 01 \
                 02 0102030405060708090a0b0c0d0e0f10 02 00000001 02 0000000000000005 0000000000000007 02 04 00 00 00 \
                 02 0102030405060708090a0b0c0d0e0f10 02 00000002 00 00";
    assert_eq!(encoded(&request, 2), hex(bytes));

    let partition = PartitionData {
        partition_index: 1,
        acknowledge_error_code: ErrorCode::INVALID_RECORD_STATE,
        records: Records::Bytes(hex("726563")),
        acquired_records: vec![AcquiredRecords { first_offset: 5, last_offset: 7, delivery_count: 2 }],
        ..Default::default()
    };
    let response = ShareFetchResponse {
        acquisition_lock_timeout_ms: 30_000,
        responses: vec![ShareFetchableTopicResponse { topic_id: ID, partitions: vec![partition] }],
        node_endpoints: vec![NodeEndpoint { node_id: 4, host: "h".into(), port: 9, rack: None }],
        ..Default::default()
    };
    let bytes = "00000000 0000 00 00007530 02 0102030405060708090a0b0c0d0e0f10 02 00000001 0000 00 0079 00 \
                 00000000 00000000 00 04 726563 02 0000000000000005 0000000000000007 0002 00 00 00 \
                 02 00000004 02 68 00000009 00 00 00";
    assert_eq!(encoded(&response, 2), hex(bytes));
}

#[test]
fn share_acknowledge_v2_renews_and_tells_for_how_long() {
    use share_acknowledge::*;
    let batch = AcknowledgementBatch { first_offset: 5, last_offset: 6, acknowledge_types: vec![1, 4] };
    let partition = AcknowledgePartition { partition_index: 1, acknowledgement_batches: vec![batch] };
    let request = ShareAcknowledgeRequest {
        group_id: Some("g".into()),
        member_id: Some("m".into()),
        share_session_epoch: -1,
        is_renew_ack: true,
        topics: vec![AcknowledgeTopic { topic_id: ID, partitions: vec![partition] }],
    };
    let bytes = "02 67 02 6d ffffffff 01 02 0102030405060708090a0b0c0d0e0f10 02 00000001 \
                 02 0000000000000005 0000000000000006 03 01 04 00 00 00 00";
    assert_eq!(encoded(&request, 2), hex(bytes));

    let partition = PartitionData {
        partition_index: 1,
        error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER,
        current_leader: LeaderIdAndEpoch { leader_id: 4, leader_epoch: 2 },
        ..Default::default()
    };
    let response = ShareAcknowledgeResponse {
        acquisition_lock_timeout_ms: 30_000,
        responses: vec![ShareAcknowledgeTopicResponse { topic_id: ID, partitions: vec![partition] }],
        ..Default::default()
    };
    let bytes = "00000000 0000 00 00007530 02 0102030405060708090a0b0c0d0e0f10 02 00000001 0006 00 \
                 00000004 00000002 00 00 00 01 00";
    assert_eq!(encoded(&response, 2), hex(bytes));
}

#[test]
fn write_share_group_state_v1_counts_what_is_complete() {
    use write_share_group_state::*;
    let batch = StateBatch { first_offset: 11, last_offset: 14, delivery_state: 2, delivery_count: 1 };
    let partition = PartitionData {
        partition: 1,
        state_epoch: 2,
        leader_epoch: 3,
        start_offset: 10,
        delivery_complete_count: 4,
        state_batches: vec![batch],
    };
    let topics = vec![WriteStateData { topic_id: ID, partitions: vec![partition] }];
    let bytes = "02 67 02 0102030405060708090a0b0c0d0e0f10 02 00000001 00000002 00000003 000000000000000a 00000004 \
                 02 000000000000000b 000000000000000e 02 0001 00 00 00 00";
    assert_eq!(encoded(&WriteShareGroupStateRequest { group_id: "g".into(), topics }, 1), hex(bytes));

    let partition =
        PartitionResult { partition: 1, error_code: ErrorCode::FENCED_STATE_EPOCH, error_message: Some("x".into()) };
    let results = vec![WriteStateResult { topic_id: ID, partitions: vec![partition] }];
    let bytes = "02 0102030405060708090a0b0c0d0e0f10 02 00000001 007c 02 78 00 00 00";
    assert_eq!(encoded(&WriteShareGroupStateResponse { results }, 1), hex(bytes));
}

#[test]
fn read_share_group_state_summary_v1_tells_what_is_complete() {
    use read_share_group_state_summary::*;
    let partition = PartitionData { partition: 1, leader_epoch: 3 };
    let topics = vec![ReadStateSummaryData { topic_id: ID, partitions: vec![partition] }];
    let bytes = "02 67 02 0102030405060708090a0b0c0d0e0f10 02 00000001 00000003 00 00 00";
    assert_eq!(encoded(&ReadShareGroupStateSummaryRequest { group_id: "g".into(), topics }, 1), hex(bytes));

    let partition = PartitionResult {
        partition: 1,
        state_epoch: 2,
        leader_epoch: 3,
        start_offset: 10,
        delivery_complete_count: 4,
        ..Default::default()
    };
    let results = vec![ReadStateSummaryResult { topic_id: ID, partitions: vec![partition] }];
    let bytes = "02 0102030405060708090a0b0c0d0e0f10 02 00000001 0000 00 00000002 00000003 000000000000000a 00000004 \
                 00 00 00";
    assert_eq!(encoded(&ReadShareGroupStateSummaryResponse { results }, 1), hex(bytes));
}
