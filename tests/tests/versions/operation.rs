//! What whoever operates a cluster asks: versions, features, brokers, the quorum, disks, moves and elections.

use ottla_core::BrokerId;
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use ottla_protocol::messages::alter_replica_log_dirs::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use ottla_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use ottla_protocol::messages::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsResult};
use ottla_protocol::messages::describe_quorum::{PartitionData, TopicData};
use ottla_protocol::messages::elect_leaders::TopicPartitions;
use ottla_protocol::messages::list_partition_reassignments::ListPartitionReassignmentsTopics;
use ottla_protocol::messages::update_features::FeatureUpdateKey;
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, ApiVersionsRequest, CreateTopicsRequest,
    DescribeClusterRequest, DescribeLogDirsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    ListPartitionReassignmentsRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
};

use super::world::{Scenario, Topic, World, batch, eventually, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(ApiVersions, api_versions),
    scenario!(UpdateFeatures, update_features),
    scenario!(DescribeQuorum, describe_quorum),
    scenario!(DescribeCluster, describe_cluster),
    scenario!(AlterPartitionReassignments, alter_partition_reassignments),
    scenario!(ListPartitionReassignments, list_partition_reassignments),
    scenario!(ElectLeaders, elect_leaders),
    scenario!(DescribeLogDirs, describe_log_dirs),
    scenario!(AlterReplicaLogDirs, alter_replica_log_dirs),
    scenario!(UnregisterBroker, unregister_broker),
];

/// A topic of one partition with copies on these brokers, led by the first.
async fn topic_on(world: &mut World, brokers: &[i32]) -> Topic {
    let name = world.name("placed");
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: brokers.to_vec() };
    let topic = CreatableTopic {
        name: name.clone(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    assert_eq!(world.call(&request, 7).await.topics[0].error_code, ErrorCode::NONE);
    world.found(name).await
}

async fn api_versions(world: &mut World, version: i16) {
    let request = |name: &str| {
        let software = if version >= 3 { name } else { "" };
        ApiVersionsRequest { client_software_name: software.into(), client_software_version: software.into() }
    };
    let answer = world.call(&request("test"), version).await;
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let of_newest = ApiVersionsRequest { client_software_name: "a".into(), client_software_version: "1".into() };
    let newest = world.call(&of_newest, 4).await;
    assert_eq!(answer.api_keys, newest.api_keys, "all clients are told the same");
    let features = if version >= 3 { newest.finalized_features } else { Vec::new() };
    assert_eq!(answer.finalized_features, features);
    assert_eq!(answer.supported_features.len(), if version >= 3 { newest.supported_features.len() } else { 0 });
    if version >= 3 {
        assert_eq!(world.call(&request("not a name"), version).await.error_code, ErrorCode::INVALID_REQUEST);
    }
}

async fn update_features(world: &mut World, version: i16) {
    // In version 0 a downgrade is allowed by a flag, later by its kind.
    let mut update = async |level, may_lower: bool| {
        let update = FeatureUpdateKey {
            feature: "transaction.version".into(),
            max_version_level: level,
            allow_downgrade: version == 0 && may_lower,
            upgrade_type: if version >= 1 && may_lower { 2 } else { 1 },
        };
        let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
        let answer = world.call(&request, version).await;
        let told: Vec<ErrorCode> = answer.results.iter().map(|one| one.error_code).collect();
        world.cluster.settled().await;
        (answer.error_code, told, world.cluster.image(0).features().get("transaction.version").copied())
    };
    let each = if version <= 1 { vec![ErrorCode::NONE] } else { Vec::new() };
    assert_eq!(update(1, false).await, (ErrorCode::INVALID_UPDATE_VERSION, Vec::new(), Some(2)));
    assert_eq!(update(1, true).await, (ErrorCode::NONE, each.clone(), Some(1)));
    assert_eq!(update(9, false).await, (ErrorCode::INVALID_UPDATE_VERSION, Vec::new(), Some(1)));
    assert_eq!(update(2, false).await, (ErrorCode::NONE, each, Some(2)));
}

async fn describe_quorum(world: &mut World, version: i16) {
    let controller = world.cluster.controller().await;
    let asked = |topic: &str| {
        let topic = TopicData { topic_name: topic.into(), partitions: vec![PartitionData::default()] };
        DescribeQuorumRequest { topics: vec![topic] }
    };
    let answer = world.call(&asked("__cluster_metadata"), version).await;
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.leader_id), (ErrorCode::NONE, controller as i32));
    assert_eq!(partition.current_voters.iter().map(|voter| voter.replica_id).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(partition.high_watermark > 0 && partition.leader_epoch > 0 && partition.observers.is_empty());
    for voter in &partition.current_voters {
        // When each was heard came with version 1 (KIP-836), which disk it is with version 2 (KIP-853).
        assert_eq!(voter.last_fetch_timestamp > 0, version >= 1, "{voter:?}");
        assert_eq!(!voter.replica_directory_id.is_nil(), version >= 2, "{voter:?}");
    }
    assert_eq!(
        answer.nodes.iter().map(|node| node.node_id).collect::<Vec<_>>(),
        if version >= 2 { vec![0, 1, 2] } else { Vec::new() }
    );
    let other = world.call(&asked("other"), version).await;
    assert_eq!(other.topics[0].partitions[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

async fn describe_cluster(world: &mut World, version: i16) {
    let request = DescribeClusterRequest { include_cluster_authorized_operations: true, ..Default::default() };
    let answer = world.call(&request, version).await;
    let controller = world.cluster.controller().await;
    assert_eq!((answer.error_code, answer.controller_id), (ErrorCode::NONE, controller as i32));
    assert_eq!(&*answer.cluster_id, world.cluster.image(0).cluster_id());
    let places = |answer: &ottla_protocol::messages::DescribeClusterResponse| {
        let place = |broker: &ottla_protocol::messages::describe_cluster::DescribeClusterBroker| {
            (broker.broker_id as usize, format!("{}:{}", broker.host, broker.port), broker.is_fenced)
        };
        answer.brokers.iter().map(place).collect::<Vec<_>>()
    };
    let all: Vec<_> = (0..3).map(|id| (id, world.cluster.address(id), false)).collect();
    assert_eq!(places(&answer), all);
    assert_ne!(answer.cluster_authorized_operations, i32::MIN);
    if version >= 1 {
        let controllers = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
        assert_eq!(world.call(&controllers, version).await.error_code, ErrorCode::MISMATCHED_ENDPOINT_TYPE);
    }
    without_broker_2(world).await;
    let answer = world.call(&request, version).await;
    assert_eq!(places(&answer), all[..2]);
    if version >= 2 {
        let fenced = DescribeClusterRequest { include_fenced_brokers: true, ..request };
        let answer = world.call(&fenced, version).await;
        assert_eq!(places(&answer)[2], (2, world.cluster.address(2), true));
    }
    with_broker_2(world).await;
}

async fn without_broker_2(world: &mut World) {
    world.cluster.kill(2);
    let is_out = || world.cluster.image(0).broker(BrokerId(2)).is_none_or(|broker| broker.fenced);
    world.cluster.until("broker 2 is fenced", is_out).await;
    world.cluster.settled().await;
}

async fn with_broker_2(world: &mut World) {
    world.cluster.start_broker(2).await.unwrap();
    let is_in = || world.cluster.image(0).broker(BrokerId(2)).is_some_and(|broker| broker.is_active());
    world.cluster.until("broker 2 serves", is_in).await;
    world.cluster.settled().await;
}

async fn reassign(world: &mut World, version: i16, name: &Str, replicas: Option<Vec<i32>>, same: bool) -> ErrorCode {
    let topics = vec![ReassignableTopic {
        name: name.clone(),
        partitions: vec![ReassignablePartition { partition_index: 0, replicas }],
    }];
    let request =
        AlterPartitionReassignmentsRequest { allow_replication_factor_change: !same, topics, ..Default::default() };
    let answer = world.call(&request, version).await;
    assert_eq!(answer.error_code, ErrorCode::NONE);
    answer.responses[0].partitions[0].error_code
}

/// Where the copies of a topic are, and whether they are on their way.
fn copies(world: &World, topic: &Topic) -> (Vec<i32>, bool) {
    let image = world.cluster.image(0);
    let partition = image.topic(&topic.name).unwrap().partition(0).unwrap().clone();
    (partition.brokers().map(|id| id.0).collect(), partition.is_moving())
}

async fn alter_partition_reassignments(world: &mut World, version: i16) {
    let topic = topic_on(world, &[0]).await;
    world.write(&topic, &["a", "b"]).await;
    let code = reassign(world, version, &topic.name, None, false).await;
    assert_eq!(code, ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
    let cases = [
        (topic.name.clone(), vec![9], ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (topic.name.clone(), vec![1, 1], ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (Topic::unknown().name, vec![1], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ];
    for (name, target, code) in cases {
        assert_eq!(reassign(world, version, &name, Some(target), false).await, code);
    }
    if version >= 1 {
        // Whoever means to move may say that the number of copies is to stay (KIP-860).
        let code = reassign(world, version, &topic.name, Some(vec![1, 2]), true).await;
        assert_eq!(code, ErrorCode::INVALID_REPLICATION_FACTOR);
    }
    assert_eq!(reassign(world, version, &topic.name, Some(vec![1, 2]), false).await, ErrorCode::NONE);
    world.cluster.until("the copies have moved", || copies(world, &topic) == (vec![1, 2], false)).await;
    let topic = world.found(topic.name).await;
    assert_eq!(world.read(&topic).await, ["a", "b"]);
}

async fn list_partition_reassignments(world: &mut World, version: i16) {
    let topic = topic_on(world, &[0]).await;
    let list = async |world: &mut World, names: Option<Vec<Str>>| {
        let named = |name: Str| ListPartitionReassignmentsTopics { name, partition_indexes: vec![0] };
        let topics = names.map(|names| names.into_iter().map(named).collect());
        let request = ListPartitionReassignmentsRequest { topics, ..Default::default() };
        let answer = world.call(&request, version).await;
        assert_eq!(answer.error_code, ErrorCode::NONE);
        answer.topics
    };
    assert_eq!(list(world, None).await, []);
    // To a broker that is away no copy can get.
    without_broker_2(world).await;
    assert_eq!(reassign(world, 1, &topic.name, Some(vec![2]), false).await, ErrorCode::NONE);
    world.cluster.settled().await;
    for asked in [None, Some(vec![topic.name.clone()])] {
        let listed = list(world, asked).await;
        let [moving] = &listed[..] else { panic!("{listed:?}") };
        let partition = &moving.partitions[0];
        assert_eq!((&moving.name, partition.partition_index), (&topic.name, 0));
        assert_eq!((&partition.adding_replicas[..], &partition.removing_replicas[..]), (&[2][..], &[0][..]));
        assert!(partition.replicas.contains(&0) && partition.replicas.contains(&2), "{partition:?}");
    }
    assert_eq!(list(world, Some(vec![Topic::unknown().name])).await, []);
    assert_eq!(reassign(world, 1, &topic.name, None, false).await, ErrorCode::NONE);
    world.cluster.settled().await;
    assert_eq!((list(world, None).await, copies(world, &topic)), (Vec::new(), (vec![0], false)));
    with_broker_2(world).await;
}

async fn elect_leaders(world: &mut World, version: i16) {
    let topic = topic_on(world, &[0, 1]).await;
    world.write(&topic, &["a"]).await;
    // The other copy is to lead from now on, but nobody has been elected.
    assert_eq!(reassign(world, 1, &topic.name, Some(vec![1, 0]), false).await, ErrorCode::NONE);
    let partition = |world: &World| world.cluster.image(0).topic(&topic.name).unwrap().partition(0).unwrap().clone();
    world.cluster.until("both are in sync", || partition(world).isr.len() == 2 && !partition(world).is_moving()).await;
    assert_eq!(partition(world).leader, BrokerId(0));
    let elect = async |world: &mut World, name: &Str, election_type| {
        let topics = vec![TopicPartitions { topic: name.clone(), partitions: vec![0] }];
        let request = ElectLeadersRequest { election_type, topic_partitions: Some(topics), ..Default::default() };
        let answer = world.call(&request, version).await;
        world.cluster.settled().await;
        assert_eq!(answer.error_code, ErrorCode::NONE);
        answer.replica_election_results[0].partition_result[0].error_code
    };
    if version >= 1 {
        // One of any copy, since version 1 (KIP-460), is for partitions that nobody leads.
        assert_eq!(elect(world, &topic.name, 1).await, ErrorCode::ELECTION_NOT_NEEDED);
    }
    assert_eq!(elect(world, &topic.name, 0).await, ErrorCode::NONE);
    assert_eq!(partition(world).leader, BrokerId(1));
    assert_eq!(elect(world, &topic.name, 0).await, ErrorCode::ELECTION_NOT_NEEDED);
    assert_eq!(elect(world, &Topic::unknown().name, 0).await, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

async fn log_dirs(world: &mut World, version: i16, broker: usize, topic: &Topic) -> Vec<DescribeLogDirsResult> {
    let asked = DescribableLogDirTopic { topic: topic.name.clone(), partitions: vec![0] };
    let request = DescribeLogDirsRequest { topics: Some(vec![asked]) };
    let answer = world.call_broker(broker, &request, version).await;
    assert_eq!(answer.error_code, ErrorCode::NONE);
    answer.results
}

async fn describe_log_dirs(world: &mut World, version: i16) {
    let (topic, other) = (topic_on(world, &[0]).await, topic_on(world, &[0]).await);
    world.write(&topic, &["a"]).await;
    let dirs = log_dirs(world, version, 0, &topic).await;
    let [dir] = &dirs[..] else { panic!("{dirs:?}") };
    assert_eq!(
        (dir.error_code, &*dir.log_dir),
        (ErrorCode::NONE, &*world.cluster.data(0).join("logs").to_string_lossy())
    );
    let [shown] = &dir.topics[..] else { panic!("{dir:?}") };
    let partition = &shown.partitions[0];
    assert_eq!((&shown.name, partition.partition_index), (&topic.name, 0));
    assert_eq!((partition.partition_size, partition.offset_lag), (batch(&["a"]).len() as i64, 0));
    assert!(!partition.is_future_key);
    // How large the disk is came with version 4 (KIP-827).
    assert_eq!((dir.total_bytes > 0, dir.usable_bytes > 0), (version >= 4, version >= 4));
    assert!(!dir.is_cordoned);
    let all = world.call(&DescribeLogDirsRequest { topics: None }, version).await;
    let names: Vec<&Str> = all.results[0].topics.iter().map(|topic| &topic.name).collect();
    assert!(names.contains(&&topic.name) && names.contains(&&other.name), "{names:?}");
}

async fn alter_replica_log_dirs(world: &mut World, version: i16) {
    // Broker 1 gets a second disk; one that is not there counts as failed.
    let (logs, more) = (world.cluster.data(1).join("logs"), world.cluster.data(1).join("more"));
    std::fs::create_dir_all(&more).unwrap();
    world.cluster.stop(1).await;
    world.cluster.configure(1, "log.dirs", &format!("{},{}", logs.display(), more.display()));
    world.cluster.start_broker(1).await.unwrap();
    let is_in = || world.cluster.image(0).broker(BrokerId(1)).is_some_and(|broker| broker.is_active());
    world.cluster.until("broker 1 serves", is_in).await;
    let topic = topic_on(world, &[1]).await;
    world.write(&topic, &["a", "b"]).await;
    let place = |dirs: &[DescribeLogDirsResult]| {
        let here = dirs.iter().filter(|dir| !dir.topics.is_empty()).map(|dir| dir.log_dir.to_string());
        here.collect::<Vec<_>>()
    };
    let before = place(&log_dirs(world, 5, 1, &topic).await);
    let target = if before == [logs.display().to_string()] { &more } else { &logs };
    let change = async |world: &mut World, path: &std::path::Path, name: &Str| {
        let topics = vec![AlterReplicaLogDirTopic { name: name.clone(), partitions: vec![0] }];
        let dirs = vec![AlterReplicaLogDir { path: path.display().to_string().into(), topics }];
        let answer = world.call_broker(1, &AlterReplicaLogDirsRequest { dirs }, version).await;
        answer.results[0].partitions[0].error_code
    };
    assert_eq!(change(world, "/nowhere".as_ref(), &topic.name).await, ErrorCode::LOG_DIR_NOT_FOUND);
    assert_eq!(change(world, target, &Topic::unknown().name).await, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(change(world, target, &topic.name).await, ErrorCode::NONE);
    let moved = eventually("the copy has moved", async || {
        let dirs = log_dirs(world, 5, 1, &topic).await;
        (place(&dirs) == [target.display().to_string()]).then_some(())
    });
    moved.await;
    assert_eq!(world.read(&topic).await, ["a", "b"]);
}

async fn unregister_broker(world: &mut World, version: i16) {
    let unknown = world.call(&UnregisterBrokerRequest { broker_id: 9 }, version).await;
    assert_eq!((unknown.error_code, unknown.error_message.is_some()), (ErrorCode::BROKER_ID_NOT_REGISTERED, true));
    without_broker_2(world).await;
    let gone = world.call(&UnregisterBrokerRequest { broker_id: 2 }, version).await;
    assert_eq!((gone.error_code, gone.error_message), (ErrorCode::NONE, None));
    world.cluster.settled().await;
    assert!(world.cluster.image(0).broker(BrokerId(2)).is_none());
}
