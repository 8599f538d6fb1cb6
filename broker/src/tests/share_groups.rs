//! Share groups (KIP-932) over the wire: sessions that end, and groups that are set while nobody is there.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::{
    InitializeShareGroupStateRequest, ShareAcknowledgeRequest, ShareFetchRequest, ShareFetchResponse,
    initialize_share_group_state as initialize, share_acknowledge as acknowledge, share_fetch as fetch,
};
use ottla_storage::id_text;
use uuid::Uuid;

use super::produce_fetch::{batch, produce};
use super::raw::Raw;
use crate::testing::{TestBroker, eventually};

const ACCEPT: i8 = 1;
const FIRST: i32 = 0;
const LAST: i32 = -1;

/// A broker with the topic `t`, which has three records, and the coordinator of `g` in it.
async fn start() -> (TestBroker, Raw, Uuid) {
    let state = "share.coordinator.state.topic";
    let (factor, min) = (format!("{state}.replication.factor"), format!("{state}.min.isr"));
    let broker = TestBroker::start_with(&[(&factor, "1"), (&min, "1")]).await;
    broker.create_topic("t", 1, &[]).await;
    let topic = broker.controller.image().topic("t").unwrap().id.0;
    let mut raw = Raw::connect(broker.address()).await;
    for value in ["a", "b", "c"] {
        let appended = raw.call(&produce("t", -1, batch(value)), 12).await;
        assert_eq!(appended.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    }
    let key = format!("g:{}:0", id_text(topic));
    let request = FindCoordinatorRequest { key_type: 2, coordinator_keys: vec![key.into()], ..Default::default() };
    assert_eq!(raw.call(&request, 6).await.coordinators[0].error_code, ErrorCode::NONE);
    (broker, raw, topic)
}

/// The group is to begin at `start_offset`.
async fn begin(raw: &mut Raw, topic_id: Uuid, state_epoch: i32, start_offset: i64) {
    let partition = initialize::PartitionData { partition: 0, state_epoch, start_offset };
    let topics = vec![initialize::InitializeStateData { topic_id, partitions: vec![partition] }];
    let request = InitializeShareGroupStateRequest { group_id: "g".into(), topics };
    let result = raw.call(&request, 0).await.results.remove(0).partitions.remove(0);
    assert_eq!(result.error_code, ErrorCode::NONE);
}

async fn ask(raw: &mut Raw, topic_id: Uuid, share_session_epoch: i32) -> ShareFetchResponse {
    let partitions = vec![fetch::FetchPartition::default()];
    let request = ShareFetchRequest {
        group_id: Some("g".into()),
        member_id: Some("m".into()),
        share_session_epoch,
        min_bytes: 1,
        max_records: 100,
        batch_size: 100,
        topics: vec![fetch::FetchTopic { topic_id, partitions }],
        ..ShareFetchRequest::default()
    };
    let response = raw.call(&request, 1).await;
    assert_eq!(response.error_code, ErrorCode::NONE);
    response
}

/// What the member is given: first offset, last offset, deliveries.
async fn given(raw: &mut Raw, topic: Uuid, epoch: i32) -> Vec<(i64, i64, i16)> {
    let partition = ask(raw, topic, epoch).await.responses.remove(0).partitions.remove(0);
    assert_eq!(partition.error_code, ErrorCode::NONE);
    let acquired = partition.acquired_records.into_iter();
    acquired.map(|one| (one.first_offset, one.last_offset, one.delivery_count)).collect()
}

/// Accepts the records up to `last_offset`, and ends the session.
async fn accept_and_go(raw: &mut Raw, topic_id: Uuid, last_offset: i64) {
    let said = acknowledge::AcknowledgementBatch { first_offset: 0, last_offset, acknowledge_types: vec![ACCEPT] };
    let partition = acknowledge::AcknowledgePartition { partition_index: 0, acknowledgement_batches: vec![said] };
    let request = ShareAcknowledgeRequest {
        group_id: Some("g".into()),
        member_id: Some("m".into()),
        share_session_epoch: LAST,
        topics: vec![acknowledge::AcknowledgeTopic { topic_id, partitions: vec![partition] }],
        ..ShareAcknowledgeRequest::default()
    };
    let response = raw.call(&request, 1).await;
    let partition = &response.responses[0].partitions[0];
    assert_eq!((response.error_code, partition.error_code), (ErrorCode::NONE, ErrorCode::NONE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_set_while_nobody_was_there_begins_there() {
    let (_broker, mut raw, topic) = start().await;
    begin(&mut raw, topic, 1, 0).await;
    assert_eq!(given(&mut raw, topic, FIRST).await, [(0, 2, 1)]);
    accept_and_go(&mut raw, topic, 2).await;
    assert_eq!(given(&mut raw, topic, FIRST).await, [], "all is accepted");
    accept_and_go(&mut raw, topic, 2).await;
    begin(&mut raw, topic, 2, 1).await;
    assert_eq!(given(&mut raw, topic, FIRST).await, [(1, 2, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_connection_though_it_has_found_nothing() {
    let (broker, mut raw, topic) = start().await;
    let refused = ask(&mut raw, topic, FIRST).await.responses.remove(0).partitions.remove(0);
    assert_eq!(refused.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "nobody has begun the group");
    let sessions = &broker.running.broker.share_sessions;
    assert!(!sessions.is_empty());
    drop(raw);
    eventually("the session is over", || sessions.is_empty()).await;
}
