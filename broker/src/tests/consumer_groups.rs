//! Groups of the consumer protocol (KIP-848) over the wire: what a client sees, and a large group that is restarted
//! member by member.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::consumer_group_describe::{ConsumerGroupDescribeRequest, DescribedGroup};
use ottla_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::raw::Raw;
use crate::testing::{TestBroker, TestCluster, eventually_some};

const RF_1: (&str, &str) = ("offsets.topic.replication.factor", "1");

async fn find(raw: &mut Raw, group: &str) {
    let request = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..FindCoordinatorRequest::default() };
    assert_eq!(raw.call(&request, 6).await.coordinators[0].error_code, ErrorCode::NONE);
}

async fn until_loaded(raw: &mut Raw) {
    let is_loading = [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS];
    let ask = async || (!is_loading.contains(&describe(raw).await.error_code)).then_some(());
    eventually_some("the coordinator has read its log", ask).await;
}

async fn start(properties: &[(&str, &str)], partitions: i32) -> (TestBroker, Raw) {
    let broker = TestBroker::start_with(&[&[RF_1], properties].concat()).await;
    broker.create_topic("t", partitions, &[]).await;
    let mut raw = Raw::connect(broker.address()).await;
    find(&mut raw, "g").await;
    until_loaded(&mut raw).await;
    (broker, raw)
}

fn first(member_id: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..next(member_id, 0)
    }
}

fn next(member_id: &str, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
    let (group_id, member_id) = ("g".into(), member_id.into());
    ConsumerGroupHeartbeatRequest { group_id, member_id, member_epoch, ..ConsumerGroupHeartbeatRequest::default() }
}

async fn describe(raw: &mut Raw) -> DescribedGroup {
    let request =
        ConsumerGroupDescribeRequest { group_ids: vec!["g".into()], ..ConsumerGroupDescribeRequest::default() };
    raw.call(&request, 1).await.groups.remove(0)
}

fn assigned(response: &ConsumerGroupHeartbeatResponse) -> Vec<i32> {
    let assignment = response.assignment.as_ref().expect("an assignment is told");
    assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.iter().copied()).collect()
}

async fn commit(raw: &mut Raw, epoch: i32) -> ErrorCode {
    let partition = OffsetCommitRequestPartition { committed_offset: 7, ..OffsetCommitRequestPartition::default() };
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: epoch,
        member_id: "a".into(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    raw.call(&request, 9).await.topics[0].partitions[0].error_code
}

/// The error of the group, and the offset.
async fn fetch(raw: &mut Raw, epoch: i32) -> (ErrorCode, Option<i64>) {
    let topic = OffsetFetchRequestTopics { name: "t".into(), partition_indexes: vec![0], ..Default::default() };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        member_id: Some("a".into()),
        member_epoch: epoch,
        topics: Some(vec![topic]),
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    let group = raw.call(&request, 9).await.groups.remove(0);
    (group.error_code, group.topics.first().map(|topic| topic.partitions[0].committed_offset))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_joins_commits_in_its_epoch_and_is_shown() {
    let (broker, mut raw) = start(&[], 2).await;
    let joined = raw.call(&first("a"), 1).await;
    assert_eq!((joined.error_code, joined.member_epoch, joined.heartbeat_interval_ms), (ErrorCode::NONE, 2, 5000));
    assert_eq!(assigned(&joined), [0, 1]);
    assert_eq!(commit(&mut raw, 2).await, ErrorCode::NONE);
    assert_eq!(commit(&mut raw, 1).await, ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(fetch(&mut raw, 2).await, (ErrorCode::NONE, Some(7)));
    assert_eq!(fetch(&mut raw, 1).await, (ErrorCode::STALE_MEMBER_EPOCH, None));
    let shown = describe(&mut raw).await;
    assert_eq!((shown.group_state.as_str(), shown.assignor_name.as_str(), shown.group_epoch), ("Stable", "uniform", 2));
    assert_eq!((shown.members[0].member_type, shown.members[0].client_host.as_str()), (1, "/127.0.0.1"));
    assert_eq!(shown.members[0].assignment.topic_partitions[0].topic_name.as_str(), "t");
    let list = ListGroupsRequest { types_filter: vec!["consumer".into()], states_filter: vec!["stable".into()] };
    let listed = raw.call(&list, 5).await.groups;
    assert_eq!(
        (listed.len(), listed[0].group_type.as_str(), listed[0].protocol_type.as_str()),
        (1, "consumer", "consumer")
    );
    // The group's own configuration counts from the next heartbeat on.
    let config = AlterableConfig {
        name: "consumer.heartbeat.interval.ms".into(),
        value: Some("7000".into()),
        ..AlterableConfig::default()
    };
    let resource = AlterConfigsResource { resource_type: 32, resource_name: "g".into(), configs: vec![config] };
    let alter =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..IncrementalAlterConfigsRequest::default() };
    assert_eq!(raw.call(&alter, 1).await.responses[0].error_code, ErrorCode::NONE);
    assert_eq!(raw.call(&next("a", 2), 1).await.heartbeat_interval_ms, 7000);
    drop(broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_grows_is_assigned_with_the_next_heartbeat() {
    // What was assigned just now would else stand for a second.
    let (broker, mut raw) = start(&[("group.consumer.assignment.interval.ms", "0")], 1).await;
    let join = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some("t[0-9]*".into()),
        ..first("a")
    };
    assert_eq!(assigned(&raw.call(&join, 1).await), [0]);
    broker.create_topic("t2", 2, &[]).await;
    broker.create_topic("u", 2, &[]).await;
    assert_eq!(assigned(&raw.call(&next("a", 2), 1).await).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_of_consumer_groups_and_a_broker_without_them_refuses() {
    let (_broker, mut raw) = start(&[("group.coordinator.rebalance.protocols", "classic")], 1).await;
    let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
    let answer = raw.call(&request, 4).await;
    let finalized = answer.finalized_features.iter().find(|feature| &*feature.name == "group.version").unwrap();
    assert_eq!(finalized.max_version_level, 1);
    assert_eq!(raw.call(&first("a"), 1).await.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(describe(&mut raw).await.error_code, ErrorCode::UNSUPPORTED_VERSION);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_survives_the_broker_that_coordinated_it() {
    let one_partition = ("offsets.topic.num.partitions", "1");
    let mut cluster = TestCluster::start(2, &[("offsets.topic.replication.factor", "2"), one_partition]).await;
    cluster.create_topic("t", &[1, 2], &[]).await;
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..FindCoordinatorRequest::default() };
    let coordinator = raw.call(&request, 6).await.coordinators[0].node_id;
    let mut raw = Raw::connect(cluster.broker(coordinator).address()).await;
    until_loaded(&mut raw).await;
    assert_eq!(assigned(&raw.call(&first("a"), 1).await), [0]);
    let before = describe(&mut raw).await;
    cluster.stop_broker(coordinator).await;
    let other = cluster.broker(3 - coordinator);
    let mut raw = Raw::connect(other.address()).await;
    until_loaded(&mut raw).await;
    let answer = raw.call(&next("a", 2), 1).await;
    assert_eq!((answer.error_code, answer.member_epoch), (ErrorCode::NONE, 2));
    assert_eq!(describe(&mut raw).await.members, before.members);
}

const MEMBERS: usize = 100;
const PARTITIONS: i32 = 1000;

/// Who consumes which partition, as the members themselves see it.
#[derive(Default)]
struct Owners(Mutex<BTreeMap<i32, String>>);

impl Owners {
    /// A member has exactly these from now on: what it gave up is free before it says so, and what it gets must be.
    fn put(&self, member: &str, owned: &BTreeSet<i32>) {
        let mut owners = self.0.lock();
        owners.retain(|partition, owner| owner != member || owned.contains(partition));
        for partition in owned {
            let former = owners.insert(*partition, member.to_owned());
            assert!(former.is_none_or(|former| former == member), "{partition} is owned twice");
        }
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// A member that does what it is told until it is to leave.
async fn member(address: SocketAddr, topic: Uuid, owners: Arc<Owners>, leave: CancellationToken) {
    let id = Uuid::new_v4().to_string();
    let mut raw = Raw::connect(address).await;
    let mut heartbeat = first(&id);
    loop {
        let answer = raw.call(&heartbeat, 1).await;
        assert_eq!(answer.error_code, ErrorCode::NONE, "{:?}", answer.error_message);
        heartbeat = next(&id, answer.member_epoch);
        if answer.assignment.is_some() {
            let owned: BTreeSet<i32> = assigned(&answer).into_iter().collect();
            owners.put(&id, &owned);
            let partitions = owned.into_iter().collect();
            heartbeat.topic_partitions = Some(vec![TopicPartitions { topic_id: topic, partitions }]);
        }
        let interval = Duration::from_millis(u64::try_from(answer.heartbeat_interval_ms).unwrap());
        if leave.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
            owners.put(&id, &BTreeSet::new());
            assert_eq!(raw.call(&next(&id, -1), 1).await.error_code, ErrorCode::NONE);
            return;
        }
    }
}

async fn settled(raw: &mut Raw, owners: &Owners) {
    let begin = Instant::now();
    loop {
        let shown = describe(raw).await;
        let is_settled = shown.group_state.as_str() == "Stable"
            && shown.members.len() == MEMBERS
            && owners.count() == PARTITIONS as usize;
        if is_settled {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{} with {} owned", shown.group_state, owners.count());
        // Members beat meanwhile; asking without a pause would take the processor from them.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_members_over_a_thousand_partitions_are_restarted_one_by_one() {
    let intervals =
        [("group.consumer.min.heartbeat.interval.ms", "100"), ("group.consumer.heartbeat.interval.ms", "500")];
    let (broker, mut raw) = start(&intervals, PARTITIONS).await;
    let topic = broker.controller.image().topic("t").unwrap().id.0;
    let owners = Arc::new(Owners::default());
    let join = || {
        let leave = CancellationToken::new();
        let member = member(broker.address(), topic, Arc::clone(&owners), leave.clone());
        (leave, tokio::spawn(member))
    };
    let mut members: Vec<_> = (0..MEMBERS).map(|_| join()).collect();
    settled(&mut raw, &owners).await;
    for place in &mut members {
        let (leave, task) = std::mem::replace(place, join());
        leave.cancel();
        task.await.unwrap();
    }
    let begin = Instant::now();
    settled(&mut raw, &owners).await;
    println!("settled {:?} after the last restart", begin.elapsed());
    let shares: Vec<usize> = describe(&mut raw)
        .await
        .members
        .iter()
        .map(|member| member.assignment.topic_partitions.iter().map(|topic| topic.partitions.len()).sum())
        .collect();
    assert!(shares.iter().all(|share| *share == PARTITIONS as usize / MEMBERS), "{shares:?}");
    for (leave, task) in members {
        leave.cancel();
        task.await.unwrap();
    }
}
