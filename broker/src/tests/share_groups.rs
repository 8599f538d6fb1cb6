//! Share groups (KIP-932) over the wire: where they begin, sessions that end, leaders and coordinators that change, and large
//! answers.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::TopicId;
use ottla_core::controller::{DeleteTopics, TopicRef};
use ottla_protocol::ErrorCode;
use ottla_protocol::frame::encode_request;
use ottla_protocol::messages::fetch::FetchPartition;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ottla_protocol::messages::{
    InitializeShareGroupStateRequest, ShareAcknowledgeRequest, ShareFetchRequest, ShareFetchResponse,
    initialize_share_group_state as initialize, share_acknowledge as acknowledge, share_fetch as fetch,
};
use ottla_records::{BatchBuilder, Compression};
use ottla_storage::id_text;
use uuid::Uuid;

use super::produce_fetch::{self, batch, produce};
use super::quotas::{WINDOWS, limit};
use super::raw::Raw;
use crate::api::Dispatcher;
use crate::net::{Peer, Response, Service as _, Step};
use crate::node::gauges;
use crate::share::is_passing;
use crate::telemetry::Exposition;
use crate::testing::{TestBroker, TestCluster, eventually, eventually_some};

const ACCEPT: i8 = 1;
const FIRST: i32 = 0;
const LAST: i32 = -1;

/// A broker with the topic `t`, which has three records, and the coordinator of `g` in it.
async fn start() -> (TestBroker, Raw, Uuid) {
    start_with(&[]).await
}

async fn start_with(properties: &[(&str, &str)]) -> (TestBroker, Raw, Uuid) {
    let state = "share.coordinator.state.topic";
    let (factor, min) = (format!("{state}.replication.factor"), format!("{state}.min.isr"));
    let broker = TestBroker::start_with(&[&[(&*factor, "1"), (&*min, "1")], properties].concat()).await;
    broker.create_topic("t", 1, &[]).await;
    let topic = broker.controller.image().topic("t").unwrap().id.0;
    let mut raw = Raw::connect(broker.address()).await;
    for value in ["a", "b", "c"] {
        let appended = raw.call(&produce("t", -1, batch(value)), 12).await;
        assert_eq!(appended.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    }
    coordinator(&mut raw, topic).await;
    (broker, raw, topic)
}

/// Which broker keeps where `g` stands in the topic.
async fn coordinator(raw: &mut Raw, topic: Uuid) -> i32 {
    let key = format!("g:{}:0", id_text(topic));
    let request = FindCoordinatorRequest { key_type: 2, coordinator_keys: vec![key.into()], ..Default::default() };
    let found = raw.call(&request, 6).await.coordinators.remove(0);
    assert_eq!(found.error_code, ErrorCode::NONE);
    found.node_id
}

/// The group is to begin at `start_offset`.
async fn begin(raw: &mut Raw, topic_id: Uuid, state_epoch: i32, start_offset: i64) {
    begin_partition(raw, topic_id, 0, state_epoch, start_offset).await;
}

async fn begin_partition(raw: &mut Raw, topic_id: Uuid, partition: i32, state_epoch: i32, start_offset: i64) {
    let partition = initialize::PartitionData { partition, state_epoch, start_offset };
    let topics = vec![initialize::InitializeStateData { topic_id, partitions: vec![partition] }];
    let request = InitializeShareGroupStateRequest { group_id: "g".into(), topics };
    // Group coordinators come again too, to one that has not heard yet that it coordinates.
    let code = eventually_some("the state is made, or refused", async || {
        let result = raw.call(&request, 0).await.results.remove(0).partitions.remove(0);
        (!is_passing(result.error_code)).then_some(result.error_code)
    });
    assert_eq!(code.await, ErrorCode::NONE);
}

async fn ask(raw: &mut Raw, topic_id: Uuid, share_session_epoch: i32) -> ShareFetchResponse {
    let response = raw.call(&question(topic_id, 0..1, share_session_epoch), 1).await;
    assert_eq!(response.error_code, ErrorCode::NONE);
    response
}

/// Asks for a hundred records.
fn question(topic_id: Uuid, partitions: Range<i32>, share_session_epoch: i32) -> ShareFetchRequest {
    let partition = |partition_index| fetch::FetchPartition { partition_index, ..fetch::FetchPartition::default() };
    let partitions = partitions.map(partition).collect();
    ShareFetchRequest {
        group_id: Some("g".into()),
        member_id: Some("m".into()),
        share_session_epoch,
        min_bytes: 1,
        max_records: 100,
        batch_size: 100,
        topics: vec![fetch::FetchTopic { topic_id, partitions }],
        ..ShareFetchRequest::default()
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn a_group_begins_with_the_records_that_are_no_older_than_it_is_told() {
    let (broker, mut raw, topic) = start().await;
    // The records that are there are years old.
    let mut young = BatchBuilder::new(Compression::None);
    young.append(broker.running.broker.replicas.clock().now().wall.0, None, Some(b"young"), &[]);
    raw.call(&produce("t", -1, young.build(0)), 12).await;
    let config = AlterableConfig {
        name: "share.auto.offset.reset".into(),
        value: Some("by_duration:PT1H".into()),
        ..AlterableConfig::default()
    };
    let resource = AlterConfigsResource { resource_type: 32, resource_name: "g".into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(raw.call(&request, 1).await.responses[0].error_code, ErrorCode::NONE);
    begin(&mut raw, topic, 1, -1).await;
    assert_eq!(given(&mut raw, topic, FIRST).await, [(3, 3, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_a_topic_that_is_deleted_is_told_so_and_nothing_is_kept_of_it() {
    let (broker, mut raw, topic) = start().await;
    begin(&mut raw, topic, 1, 0).await;
    assert_eq!(given(&mut raw, topic, FIRST).await, [(0, 2, 1)]);
    let wanted = TopicRef { name: None, id: TopicId(topic) };
    broker.controller.submit(DeleteTopics { topics: vec![wanted] }).await.unwrap().remove(0).1.unwrap();
    let told = ask(&mut raw, topic, 1).await.responses.remove(0).partitions.remove(0);
    assert_eq!(told.error_code, ErrorCode::UNKNOWN_TOPIC_ID);
    let deliveries = &broker.running.broker.deliveries;
    eventually("it is forgotten", || deliveries.is_empty()).await;
}

/// Both brokers can lead the topic and coordinate; who is asked first stops, and the other one goes on with what it kept.
#[tokio::test(flavor = "multi_thread")]
async fn another_leader_and_coordinator_goes_on_with_what_was_accepted() {
    let state = "share.coordinator.state.topic";
    let (factor, min, count) =
        (format!("{state}.replication.factor"), format!("{state}.min.isr"), format!("{state}.num.partitions"));
    let mut cluster = TestCluster::start(2, &[(&factor, "2"), (&min, "1"), (&count, "1")]).await;
    cluster.create_topic("t", &[1, 2], &[]).await;
    let topic = cluster.broker(1).controller.image().topic("t").unwrap().id.0;
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    for value in ["a", "b", "c"] {
        raw.call(&produce("t", -1, batch(value)), 12).await;
    }
    let coordinator = coordinator(&mut raw, topic).await;
    let mut asked = Raw::connect(cluster.broker(coordinator).address()).await;
    begin(&mut asked, topic, 1, 0).await;
    assert_eq!(given(&mut raw, topic, FIRST).await, [(0, 2, 1)]);
    accept_and_go(&mut raw, topic, 1).await;
    assert_eq!(given(&mut raw, topic, FIRST).await, [(2, 2, 2)], "what was given back");

    cluster.stop_broker(1).await;
    let mut raw = Raw::connect(cluster.broker(2).address()).await;
    let session = std::cell::Cell::new(FIRST);
    let found = eventually_some("the other one leads, and the coordinator's log is read", async || {
        let partition = ask(&mut raw, topic, session.get()).await.responses.remove(0).partitions.remove(0);
        session.set(session.get() + 1);
        (partition.error_code == ErrorCode::NONE).then_some(partition.acquired_records)
    });
    let found: Vec<_> = found.await.iter().map(|one| (one.first_offset, one.last_offset, one.delivery_count)).collect();
    // The second delivery was not spoken of before the leader was gone.
    assert_eq!(found, [(2, 2, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_members_are_given_and_say_is_counted() {
    let (broker, mut raw, topic) = start().await;
    let metrics = broker.running.broker.replicas.metrics().clone();
    let exposition = Exposition::new(&metrics, gauges::of(&broker.running));
    let has = async |expected: &[&str]| {
        let text = exposition.text().await.unwrap();
        for line in expected {
            assert!(text.lines().any(|one| one == *line), "{line} is not in\n{text}");
        }
    };
    ask(&mut raw, topic, FIRST).await;
    has(&["kafka_server_brokertopicmetrics_failedsharefetchrequests_total 1"]).await;
    begin(&mut raw, topic, 1, 0).await;
    assert_eq!(given(&mut raw, topic, 1).await, [(0, 2, 1)]);
    has(&[
        "kafka_server_sharesessioncache_sharesessionscount 1",
        "kafka_server_sharesessioncache_sharepartitionscount 1",
        "ottla_share_partitions 1",
        "ottla_share_records_acquired_total 3",
        "ottla_share_records_timed_out_total 0",
    ])
    .await;
    accept_and_go(&mut raw, topic, 1).await;
    let acknowledged = |kind, count| {
        format!("kafka_server_sharegroupmetrics_recordacknowledgements_total{{acktype=\"{kind}\"}} {count}")
    };
    has(&[
        &acknowledged("Accept", 2),
        &acknowledged("Release", 0),
        "kafka_server_brokertopicmetrics_failedshareacknowledgementrequests_total 0",
        "kafka_server_sharesessioncache_sharesessionscount 0",
    ])
    .await;
}

/// What a batch of the topic `large` has, about.
const BATCH: usize = 200_000;

/// A broker with the topic `large`, which has three partitions of four batches of one record each, and where `g` begins.
async fn start_large(properties: &[(&str, &str)]) -> (TestBroker, Raw, Uuid) {
    let (broker, mut raw, _) = start_with(properties).await;
    broker.create_topic("large", 3, &[]).await;
    let topic = broker.controller.image().topic("large").unwrap().id.0;
    for (index, value) in (0..3).flat_map(|index| (0..4).map(move |value| (index, value))) {
        let mut request = produce("large", -1, batch(&format!("{index}{value}").repeat(BATCH / 2)));
        request.topic_data[0].partition_data[0].index = index;
        let appended = raw.call(&request, 12).await;
        assert_eq!(appended.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    }
    for partition in 0..3 {
        begin_partition(&mut raw, topic, partition, 1, 0).await;
    }
    (broker, raw, topic)
}

/// What an ordinary fetch gives of a partition of `large` from `fetch_offset` on.
async fn fetched(raw: &mut Raw, partition: i32, fetch_offset: i64) -> Bytes {
    let mut request = produce_fetch::fetch("large", 0, 0, 0);
    let wanted = FetchPartition { partition, fetch_offset, partition_max_bytes: 8 << 20, ..FetchPartition::default() };
    request.topics[0].partitions = vec![wanted];
    let partition = raw.call(&request, 12).await.responses.remove(0).partitions.remove(0);
    partition.records.unwrap().as_bytes().unwrap().clone()
}

type Delivered = (i32, Vec<(i64, i64)>, Bytes);

/// By partition, in order: what is acquired, and the records.
fn delivered(response: ShareFetchResponse) -> Vec<Delivered> {
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
    let delivered = partitions.map(|partition| {
        assert_eq!(partition.error_code, ErrorCode::NONE);
        let acquired = partition.acquired_records.iter().map(|one| (one.first_offset, one.last_offset)).collect();
        (partition.partition_index, acquired, partition.records.as_bytes().unwrap().clone())
    });
    delivered.filter(|(_, _, records)| !records.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_have_what_an_ordinary_fetch_has_and_no_batch_that_was_not_acquired() {
    let (_broker, mut raw, topic) = start_large(&[]).await;
    let all = [fetched(&mut raw, 0, 0).await, fetched(&mut raw, 1, 0).await, fetched(&mut raw, 2, 0).await];
    assert!(all.iter().all(|records| records.len() > 4 * BATCH));
    let few = ShareFetchRequest { max_records: 5, ..question(topic, 0..3, FIRST) };
    let first = delivered(raw.call(&few, 1).await);
    let rest = fetched(&mut raw, 1, 1).await;
    let begun = all[1].slice(..all[1].len() - rest.len());
    assert_eq!(first, [(0, vec![(0, 3)], all[0].clone()), (1, vec![(0, 0)], begun)]);
    let second = delivered(raw.call(&question(topic, 0..0, 1), 1).await);
    assert_eq!(second, [(1, vec![(1, 3)], rest), (2, vec![(0, 3)], all[2].clone())]);
}

/// The answer as it goes to the socket.
async fn answer(broker: &TestBroker, peer: &Arc<Peer>, request: &ShareFetchRequest) -> Response {
    let dispatcher = Dispatcher::new(Arc::clone(&broker.running.broker));
    let frame = encode_request(request, 1, 7, None).unwrap().bytes.slice(4..);
    let Step::Wait(mut pending) = dispatcher.call(peer, frame) else { panic!("answered at once") };
    match poll_fn(|cx| pending.poll(cx)).await {
        Step::Answer(response) => response,
        _ => panic!("no answer"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_answer_no_records_are_held_in_memory() {
    let (broker, mut raw, topic) = start_large(&[]).await;
    let peer = Arc::new(Peer::new("127.0.0.1:1".parse().unwrap(), "PLAINTEXT".into()));
    let response = answer(&broker, &peer, &question(topic, 0..3, FIRST)).await;
    let sent: Vec<u64> = response.files.iter().map(|(_, part)| part.len).collect();
    let mut expected = Vec::new();
    for partition in 0..3 {
        expected.push(fetched(&mut raw, partition, 0).await.len() as u64);
    }
    assert_eq!(sent, expected);
    assert!(response.bytes.len() < 1000, "{} bytes besides the files", response.bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_over_its_quota_gets_no_more_at_once_than_a_rate_is_measured_over_and_is_held_back() {
    let (_broker, mut raw, topic) = start_large(&WINDOWS).await;
    limit(&mut raw, "user", Some("ANONYMOUS"), "consumer_byte_rate", 150_000.0).await;
    let over = raw.call(&question(topic, 0..3, FIRST), 1).await;
    assert!((300..1000).contains(&over.throttle_time_ms), "{}", over.throttle_time_ms);
    let given = delivered(over);
    assert_eq!(given.iter().map(|(at, acquired, _)| (*at, acquired.clone())).collect::<Vec<_>>(), [(0, vec![(0, 0)])]);
}
