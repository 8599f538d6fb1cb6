//! Streams groups (KIP-1071) over the wire: the internal topics that are made for an application, and what a broker that
//! does not serve them answers.

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::streams_group_describe::StreamsGroupDescribeRequest;
use ottla_protocol::messages::streams_group_heartbeat::{
    KeyValue, Status, StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse, Subtopology, TopicInfo, Topology,
};

use super::raw::Raw;
use crate::node::gauges;
use crate::telemetry::Exposition;
use crate::testing::{TestBroker, eventually_some};

const MISSING_INTERNAL_TOPICS: i8 = 3;

/// A broker with the topic `t` of two partitions, which reads the coordinator of `g`.
async fn start(properties: &[(&str, &str)]) -> (TestBroker, Raw) {
    let own = [
        ("group.streams.initial.rebalance.delay.ms", "0"),
        ("group.streams.assignment.interval.ms", "0"),
        ("offsets.topic.replication.factor", "1"),
    ];
    let broker = TestBroker::start_with(&[&own[..], properties].concat()).await;
    broker.create_topic("t", 2, &[]).await;
    let mut raw = Raw::connect(broker.address()).await;
    let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    eventually_some("the group has a coordinator", async || {
        (raw.call(&request, 6).await.coordinators[0].error_code == ErrorCode::NONE).then_some(())
    })
    .await;
    (broker, raw)
}

fn changelog(config: (&str, &str)) -> TopicInfo {
    let topic_configs = vec![KeyValue { key: config.0.into(), value: config.1.into() }];
    TopicInfo { name: "g-state-changelog".into(), topic_configs, ..TopicInfo::default() }
}

fn joining(changelog: TopicInfo) -> StreamsGroupHeartbeatRequest {
    let subtopology = Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec!["t".into()],
        state_changelog_topics: vec![changelog],
        ..Subtopology::default()
    };
    StreamsGroupHeartbeatRequest {
        rebalance_timeout_ms: 30_000,
        topology: Some(Topology { epoch: 0, subtopologies: vec![subtopology] }),
        active_tasks: Some(Vec::new()),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        process_id: Some("p".into()),
        ..next(0)
    }
}

fn next(member_epoch: i32) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest { group_id: "g".into(), member_id: "m".into(), member_epoch, ..Default::default() }
}

/// Joins as soon as the coordinator has read its log.
async fn join(raw: &mut Raw, changelog: TopicInfo) -> StreamsGroupHeartbeatResponse {
    let request = joining(changelog);
    eventually_some("the member has joined", async || {
        let joined = raw.call(&request, 0).await;
        let is_passing = [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS];
        (!is_passing.contains(&joined.error_code)).then_some(joined)
    })
    .await
}

async fn describe(raw: &mut Raw) -> (ErrorCode, Str) {
    let request = StreamsGroupDescribeRequest { group_ids: vec!["g".into()], ..Default::default() };
    let group = raw.call(&request, 0).await.groups.remove(0);
    (group.error_code, group.group_state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_has_its_topics_made_and_then_its_tasks() {
    let often = [("group.streams.min.heartbeat.interval.ms", "100"), ("group.streams.heartbeat.interval.ms", "700")];
    let (broker, mut raw) = start(&often).await;
    let joined = join(&mut raw, changelog(("cleanup.policy", "compact"))).await;
    assert_eq!((joined.error_code, joined.heartbeat_interval_ms), (ErrorCode::NONE, 700));
    let [Status { status_code: MISSING_INTERNAL_TOPICS, status_detail }] = joined.status.as_deref().unwrap() else {
        panic!("{joined:?}")
    };
    assert!(!status_detail.contains("failed"), "{status_detail}");
    assert_eq!(broker.controller.image().topic("g-state-changelog").unwrap().partitions.len(), 2);
    let mut beat = joined;
    eventually_some("the tasks are assigned", async || {
        beat = raw.call(&next(beat.member_epoch), 0).await;
        assert_eq!(beat.error_code, ErrorCode::NONE, "{beat:?}");
        beat.active_tasks.iter().flatten().any(|tasks| tasks.partitions == [0, 1]).then_some(())
    })
    .await;
    assert_eq!(describe(&mut raw).await, (ErrorCode::NONE, "Stable".into()));
    let list = ListGroupsRequest { types_filter: vec!["streams".into()], states_filter: vec!["stable".into()] };
    let listed = raw.call(&list, 5).await.groups;
    assert_eq!((listed.len(), &*listed[0].group_type, &*listed[0].protocol_type), (1, "streams", "streams"));
    let exposition = Exposition::new(broker.running.broker.replicas.metrics(), gauges::of(&broker.running));
    let text = exposition.text().await.unwrap();
    let count = "kafka_server_group_coordinator_metrics_streams_group_count{state=\"Stable\"} 1";
    assert!(text.lines().any(|line| line == count), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_topic_that_cannot_be_made_is_told_with_the_reason() {
    let (broker, mut raw) = start(&[]).await;
    let joined = join(&mut raw, changelog(("cleanup.policy", "squash"))).await;
    let [Status { status_code: MISSING_INTERNAL_TOPICS, status_detail }] = joined.status.as_deref().unwrap() else {
        panic!("{joined:?}")
    };
    assert!(status_detail.contains("; Creation failed: g-state-changelog (Invalid value squash"), "{status_detail}");
    assert!(broker.controller.image().topic("g-state-changelog").is_none());
    let again = raw.call(&next(joined.member_epoch), 0).await;
    assert_eq!((again.error_code, again.status), (ErrorCode::NONE, joined.status), "it is tried again");
    assert_eq!(describe(&mut raw).await, (ErrorCode::NONE, "NotReady".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_the_protocol_refuses_its_groups() {
    let (_broker, mut raw) = start(&[("group.coordinator.rebalance.protocols", "classic,consumer")]).await;
    let refused = raw.call(&joining(changelog(("cleanup.policy", "compact"))), 0).await;
    assert_eq!(refused.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(describe(&mut raw).await.0, ErrorCode::UNSUPPORTED_VERSION);
}
