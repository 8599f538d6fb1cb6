//! Groups over the wire: what clients of every age do, and what outlives the coordinator.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_core::LeaderEpoch;
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::delete_groups::DeleteGroupsRequest;
use ottla_protocol::messages::describe_groups::DescribeGroupsRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::raw::Raw;
use crate::coordinator::{ReplicaLog, partition_of};
use crate::node::gauges;
use crate::telemetry::Exposition;
use crate::testing::{TestBroker, eventually};

/// Nobody waits for more members.
const PROMPT: (&str, &str) = ("group.initial.rebalance.delay.ms", "0");

async fn start() -> (TestBroker, Raw) {
    let broker = TestBroker::start_with(&[PROMPT, ("offsets.topic.replication.factor", "1")]).await;
    broker.create_topic("t", 2, &[]).await;
    let raw = Raw::connect(broker.address()).await;
    (broker, raw)
}

async fn find(raw: &mut Raw, group: &str) {
    find_on(raw, group, 0).await;
}

/// Has the offsets topic made if it is not there; broker `id` coordinates `group`.
pub(super) async fn find_on(raw: &mut Raw, group: &str, id: i32) {
    let request = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..FindCoordinatorRequest::default() };
    let found = raw.call(&request, 6).await;
    assert_eq!((found.coordinators[0].error_code, found.coordinators[0].node_id), (ErrorCode::NONE, id));
}

fn join(group: &str, member_id: &Str) -> JoinGroupRequest {
    // A subscription to the topic "t", version 0.
    let metadata = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.clone(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata }],
        ..JoinGroupRequest::default()
    }
}

fn sync(group: &str, joined: &JoinGroupResponse, assignments: &[(&Str, &'static str)]) -> SyncGroupRequest {
    let assignment = |(member_id, assignment): &(&Str, &'static str)| SyncGroupRequestAssignment {
        member_id: Str::clone(member_id),
        assignment: Bytes::from_static(assignment.as_bytes()),
    };
    SyncGroupRequest {
        group_id: group.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.iter().map(assignment).collect(),
        ..SyncGroupRequest::default()
    }
}

fn commit(group: &str, joined: Option<&JoinGroupResponse>, topic: &str, partitions: &[i32]) -> OffsetCommitRequest {
    let partition = |index: &i32| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: 7,
        committed_leader_epoch: 3,
        committed_metadata: Some("note".into()),
    };
    let partitions = partitions.iter().map(partition).collect();
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: joined.map_or(-1, |joined| joined.generation_id),
        member_id: joined.map(|joined| joined.member_id.clone()).unwrap_or_default(),
        topics: vec![OffsetCommitRequestTopic { name: topic.into(), partitions, ..Default::default() }],
        ..OffsetCommitRequest::default()
    }
}

fn fetch(group: &str, topic: &str, partitions: &[i32]) -> OffsetFetchRequest {
    let partition_indexes = partitions.to_vec();
    let topics = vec![OffsetFetchRequestTopics { name: topic.into(), partition_indexes, ..Default::default() }];
    let group = OffsetFetchRequestGroup { group_id: group.into(), topics: Some(topics), ..Default::default() };
    OffsetFetchRequest { groups: vec![group], require_stable: true, ..OffsetFetchRequest::default() }
}

/// Joins as the only member, in two steps, and gets its assignment.
async fn join_alone(raw: &mut Raw, group: &str) -> JoinGroupResponse {
    let told = raw.call(&join(group, &Str::default()), 9).await;
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    let joined = raw.call(&join(group, &told.member_id), 9).await;
    assert_eq!((joined.error_code, &joined.leader), (ErrorCode::NONE, &told.member_id));
    let synced = raw.call(&sync(group, &joined, &[(&joined.member_id, "mine")]), 5).await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (ErrorCode::NONE, &b"mine"[..]));
    joined
}

fn heartbeat(group: &str, joined: &JoinGroupResponse) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..HeartbeatRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_consumer_of_a_cluster_finds_its_coordinator_at_once_and_works() {
    let (_broker, mut raw) = start().await;
    find(&mut raw, "g").await;
    let begin = Instant::now();
    let joined = join_alone(&mut raw, "g").await;
    assert!(begin.elapsed() < Duration::from_secs(1), "joining took {:?}", begin.elapsed());
    assert_eq!(raw.call(&heartbeat("g", &joined), 4).await.error_code, ErrorCode::NONE);
    let committed = raw.call(&commit("g", Some(&joined), "t", &[0, 9]), 9).await;
    let codes: Vec<_> = committed.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes, [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
    let fetched = raw.call(&fetch("g", "t", &[0, 1]), 9).await;
    let found: Vec<_> = fetched.groups[0].topics[0]
        .partitions
        .iter()
        .map(|p| (p.committed_offset, p.committed_leader_epoch, p.metadata.as_ref().map(Str::as_str), p.error_code))
        .collect();
    assert_eq!(found, [(7, 3, Some("note"), ErrorCode::NONE), (-1, -1, Some(""), ErrorCode::NONE)]);
    let member = MemberIdentity { member_id: joined.member_id.clone(), ..MemberIdentity::default() };
    let leave = LeaveGroupRequest { group_id: "g".into(), members: vec![member], ..LeaveGroupRequest::default() };
    let left = raw.call(&leave, 5).await;
    assert_eq!((left.error_code, left.members[0].error_code), (ErrorCode::NONE, ErrorCode::NONE));
    assert_eq!(raw.call(&heartbeat("g", &joined), 4).await.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_versions_still_work() {
    let (_broker, mut raw) = start().await;
    let found = raw.call(&FindCoordinatorRequest { key: "old".into(), ..FindCoordinatorRequest::default() }, 0).await;
    assert_eq!((found.error_code, found.node_id), (ErrorCode::NONE, 0));
    assert_eq!(found.port, i32::from(_broker.address().port()));
    let mut request = join("old", &Str::default());
    request.rebalance_timeout_ms = -1;
    let joined = raw.call(&request, 0).await;
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (ErrorCode::NONE, 1, 1));
    let synced = raw.call(&sync("old", &joined, &[(&joined.member_id, "mine")]), 0).await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (ErrorCode::NONE, &b"mine"[..]));
    assert_eq!(raw.call(&heartbeat("old", &joined), 0).await.error_code, ErrorCode::NONE);
    let committed = raw.call(&commit("old", Some(&joined), "t", &[1]), 2).await;
    assert_eq!(committed.topics[0].partitions[0].error_code, ErrorCode::NONE);
    let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0, 1] };
    let one_group = OffsetFetchRequest { group_id: "old".into(), topics: Some(vec![topic]), ..Default::default() };
    let fetched = raw.call(&one_group, 1).await;
    let offsets: Vec<_> = fetched.topics[0].partitions.iter().map(|p| p.committed_offset).collect();
    assert_eq!(offsets, [-1, 7]);
    let leave = LeaveGroupRequest { group_id: "old".into(), member_id: joined.member_id, ..Default::default() };
    assert_eq!(raw.call(&leave, 0).await.error_code, ErrorCode::NONE);
    assert_eq!(raw.call(&leave, 0).await.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_share_a_group_and_the_second_one_waits_for_the_first() {
    let (broker, mut first) = start().await;
    find(&mut first, "g").await;
    let a = join_alone(&mut first, "g").await;
    let mut second = Raw::connect(broker.address()).await;
    let told = second.call(&join("g", &Str::default()), 9).await;
    second.send(&join("g", &told.member_id), 9).await;
    // The first member learns of it by its heartbeat, and joins again.
    while first.call(&heartbeat("g", &a), 4).await.error_code != ErrorCode::REBALANCE_IN_PROGRESS {}
    let a = first.call(&join("g", &a.member_id), 9).await;
    let (_, b) = second.answer::<JoinGroupRequest>(9).await;
    assert_eq!((a.generation_id, b.generation_id, a.members.len(), b.members.len()), (2, 2, 2, 0));
    second.send(&sync("g", &b, &[]), 5).await;
    let synced = first.call(&sync("g", &a, &[(&a.member_id, "for a"), (&b.member_id, "for b")]), 5).await;
    assert_eq!(&synced.assignment[..], b"for a");
    let (_, synced) = second.answer::<SyncGroupRequest>(5).await;
    assert_eq!(&synced.assignment[..], b"for b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_takes_over_knows_groups_and_offsets() {
    let (broker, mut raw) = start().await;
    find(&mut raw, "g").await;
    let joined = join_alone(&mut raw, "g").await;
    raw.call(&commit("g", Some(&joined), "t", &[0]), 9).await;
    let partition = partition_of("g", 50);
    let groups = &broker.running.broker.groups;
    groups.resign(partition);
    assert_eq!(raw.call(&heartbeat("g", &joined), 4).await.error_code, ErrorCode::NOT_COORDINATOR);
    let replica = broker.running.broker.replicas.topics().partition("__consumer_offsets", partition).unwrap();
    groups.lead(partition, LeaderEpoch(1000), std::sync::Arc::new(ReplicaLog::new(replica)));
    let fetched = raw.call(&fetch("g", "t", &[0]), 9).await;
    assert_eq!(fetched.groups[0].topics[0].partitions[0].committed_offset, 7);
    assert_eq!(raw.call(&heartbeat("g", &joined), 4).await.error_code, ErrorCode::NONE);
    let describe = DescribeGroupsRequest { groups: vec!["g".into()], ..DescribeGroupsRequest::default() };
    let described = &raw.call(&describe, 6).await.groups[0];
    assert_eq!((described.group_state.as_str(), described.protocol_data.as_str()), ("Stable", "range"));
    assert_eq!(&described.members[0].member_assignment[..], b"mine");
    assert_eq!(described.members[0].client_host.as_str(), "/127.0.0.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_counts_groups_by_kind_and_state() {
    let (broker, mut raw) = start().await;
    find(&mut raw, "g").await;
    let joined = join_alone(&mut raw, "g").await;
    raw.call(&commit("g", Some(&joined), "t", &[0, 1]), 8).await;
    raw.call(&commit("simple", None, "t", &[0]), 8).await;
    let exposition = Exposition::new(broker.running.broker.replicas.metrics(), gauges::of(&broker.running));
    let text = exposition.text().await.unwrap();
    for line in [
        "kafka_server_group_coordinator_metrics_group_count{protocol=\"classic\"} 2",
        "kafka_server_group_coordinator_metrics_group_count{protocol=\"consumer\"} 0",
        "kafka_coordinator_group_groupmetadatamanager_numgroupsempty 1",
        "kafka_coordinator_group_groupmetadatamanager_numoffsets 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_described_and_deleted() {
    let (broker, mut raw) = start().await;
    find(&mut raw, "simple").await;
    raw.call(&commit("simple", None, "t", &[0, 1]), 8).await;
    let joined = join_alone(&mut raw, "g").await;
    raw.call(&heartbeat("g", &joined), 4).await;
    eventually("every coordinator is loaded", || broker.running.broker.groups.are_loaded()).await;
    let list = ListGroupsRequest { states_filter: vec!["empty".into()], ..ListGroupsRequest::default() };
    let listed: Vec<_> = raw.call(&list, 5).await.groups.into_iter().map(|g| (g.group_id, g.group_state)).collect();
    assert_eq!(listed, [(Str::from("simple"), Str::from("Empty"))]);
    let describe = DescribeGroupsRequest { groups: vec!["none".into()], include_authorized_operations: true };
    let none = &raw.call(&describe, 6).await.groups[0];
    assert_eq!((none.error_code, none.group_state.as_str()), (ErrorCode::GROUP_ID_NOT_FOUND, "Dead"));
    assert_eq!(raw.call(&describe, 5).await.groups[0].error_code, ErrorCode::NONE);
    let topic = |name: &str| OffsetDeleteRequestTopic {
        name: name.into(),
        partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
    };
    let delete = OffsetDeleteRequest { group_id: "simple".into(), topics: vec![topic("nope"), topic("t")] };
    let deleted = raw.call(&delete, 0).await;
    let codes: Vec<_> = deleted.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
    assert_eq!(codes, [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::NONE]);
    let all = DeleteGroupsRequest { groups_names: vec!["simple".into(), "g".into(), "simple".into(), "none".into()] };
    let results = raw.call(&all, 2).await.results;
    let results: Vec<_> = results.into_iter().map(|result| (result.group_id.to_string(), result.error_code)).collect();
    let expected =
        [("simple", ErrorCode::NONE), ("g", ErrorCode::NON_EMPTY_GROUP), ("none", ErrorCode::GROUP_ID_NOT_FOUND)];
    assert_eq!(results, expected.map(|(group, code)| (group.to_owned(), code)));
    let fetched = raw.call(&fetch("simple", "t", &[0, 1]), 9).await;
    assert!(fetched.groups[0].topics[0].partitions.iter().all(|partition| partition.committed_offset == -1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_groups_nobody_coordinates_are_refused_before_there_is_an_offsets_topic() {
    let (_broker, mut raw) = start().await;
    let fetched = raw.call(&fetch("g", "t", &[0]), 9).await;
    assert_eq!(fetched.groups[0].error_code, ErrorCode::NOT_COORDINATOR);
    let joined = raw.call(&join("g", &Str::default()), 3).await;
    assert_eq!(joined.error_code, ErrorCode::NOT_COORDINATOR);
    assert_eq!(raw.call(&ListGroupsRequest::default(), 5).await.groups, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_stops_without_waiting_for_the_joins_that_are_parked() {
    let properties = [("group.initial.rebalance.delay.ms", "3600000"), ("offsets.topic.replication.factor", "1")];
    let broker = TestBroker::start_with(&properties).await;
    let mut raw = Raw::connect(broker.address()).await;
    find(&mut raw, "g").await;
    raw.send(&join("g", &Str::default()), 3).await;
    let mut other = Raw::connect(broker.address()).await;
    let describe = DescribeGroupsRequest { groups: vec!["g".into()], ..DescribeGroupsRequest::default() };
    while other.call(&describe, 5).await.groups[0].group_state.as_str() != "PreparingRebalance" {}
    drop(other);
    tokio::time::timeout(Duration::from_secs(10), broker.running.leave()).await.expect("it stops").unwrap();
    // The coordinator ends while the connection closes: its answer may still get out, and must send the member elsewhere.
    if let Some(answer) = raw.frame().await {
        assert_eq!(answer[8..10], ErrorCode::NOT_COORDINATOR.0.to_be_bytes(), "{answer:?}");
        assert_eq!(raw.frame().await, None, "the connection is closed");
    }
}
