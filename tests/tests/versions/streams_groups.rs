//! Streams groups (KIP-1071): members with a topology, its internal topics, and their tasks.

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::streams_group_heartbeat::{
    CopartitionGroup, Endpoint, KeyValue, Subtopology, TaskIds, TopicInfo, Topology,
};
use ottla_protocol::messages::{
    DescribeConfigsRequest, StreamsGroupDescribeRequest, StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse,
    describe_configs,
};

use super::groups::new_group;
use super::world::{Scenario, Topic, World, eventually, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] =
    &[scenario!(StreamsGroupHeartbeat, heartbeat), scenario!(StreamsGroupDescribe, describe)];

/// What a client is told of internal topics that are not there yet.
const MISSING_INTERNAL_TOPICS: i8 = 3;

fn next(group: &Str, member_epoch: i32) -> StreamsGroupHeartbeatRequest {
    let (group_id, member_id) = (group.clone(), "own".into());
    StreamsGroupHeartbeatRequest { group_id, member_id, member_epoch, ..Default::default() }
}

fn internal_topic(group: &Str, what: &str, config: (&str, &str)) -> TopicInfo {
    let topic_configs = vec![KeyValue { key: config.0.into(), value: config.1.into() }];
    TopicInfo { name: format!("{group}-{what}").into(), topic_configs, ..Default::default() }
}

/// A count by key: what reads the topic repartitions it, what reads that keeps a state.
fn joining(group: &Str, topic: &Topic) -> StreamsGroupHeartbeatRequest {
    let repartition = internal_topic(group, "repartition", ("cleanup.policy", "delete"));
    let copartition = CopartitionGroup { repartition_source_topics: vec![0], ..Default::default() };
    let reading = Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec![topic.name.clone()],
        repartition_sink_topics: vec![repartition.name.clone()],
        ..Default::default()
    };
    let counting = Subtopology {
        subtopology_id: "1".into(),
        repartition_source_topics: vec![repartition],
        state_changelog_topics: vec![internal_topic(group, "changelog", ("cleanup.policy", "compact"))],
        copartition_groups: vec![copartition],
        ..Default::default()
    };
    StreamsGroupHeartbeatRequest {
        rebalance_timeout_ms: 30_000,
        topology: Some(Topology { epoch: 0, subtopologies: vec![reading, counting] }),
        active_tasks: Some(Vec::new()),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        process_id: Some("process".into()),
        user_endpoint: Some(Endpoint { host: "here".into(), port: 8080 }),
        client_tags: Some(vec![KeyValue { key: "zone".into(), value: "a".into() }]),
        ..next(group, 0)
    }
}

fn all_tasks() -> Vec<TaskIds> {
    let of = |subtopology: &str| TaskIds { subtopology_id: subtopology.into(), partitions: vec![0, 1] };
    vec![of("0"), of("1")]
}

fn owning(group: &Str, epoch: i32) -> StreamsGroupHeartbeatRequest {
    let (active_tasks, none) = (Some(all_tasks()), Some(Vec::new()));
    StreamsGroupHeartbeatRequest { active_tasks, standby_tasks: none.clone(), warmup_tasks: none, ..next(group, epoch) }
}

/// Sends heartbeats until the one member has all tasks.
async fn settle(world: &mut World, group: &Str, joined: StreamsGroupHeartbeatResponse) -> i32 {
    let mut beat = joined;
    eventually("the tasks are assigned", async || {
        assert_eq!(beat.error_code, ErrorCode::NONE, "{beat:?}");
        if beat.active_tasks.as_ref() == Some(&all_tasks()) {
            return Some(beat.member_epoch);
        }
        beat = world.call(&next(group, beat.member_epoch), 0).await;
        None
    })
    .await
}

async fn heartbeat(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    let joined = world.call(&joining(&group, &topic), version).await;
    assert_eq!((joined.error_code, &*joined.member_id), (ErrorCode::NONE, "own"));
    assert!(joined.heartbeat_interval_ms > 0, "{joined:?}");
    let [status] = joined.status.as_deref().unwrap() else { panic!("{joined:?}") };
    assert_eq!(status.status_code, MISSING_INTERNAL_TOPICS, "{status:?}");
    let epoch = settle(world, &group, joined).await;
    for (what, policy) in [("repartition", "delete"), ("changelog", "compact")] {
        let name: Str = format!("{group}-{what}").into();
        assert_eq!(world.client.refresh_metadata(&[&*name]).await.unwrap().topics[&*name].partitions.len(), 2);
        assert_eq!(cleanup_policy(world, name).await, policy);
    }
    let nothing_new = world.call(&owning(&group, epoch), version).await;
    assert_eq!((nothing_new.member_epoch, nothing_new.active_tasks), (epoch, None));
    assert_eq!(nothing_new.status, Some(Vec::new()));
    let stranger = StreamsGroupHeartbeatRequest { member_id: "stranger".into(), ..next(&group, epoch) };
    let cases = [
        (next(&group, epoch + 1), ErrorCode::FENCED_MEMBER_EPOCH),
        (stranger, ErrorCode::UNKNOWN_MEMBER_ID),
        (next(&group, 0), ErrorCode::INVALID_REQUEST),
        (next(&Str::default(), epoch), ErrorCode::INVALID_REQUEST),
    ];
    for (request, code) in cases {
        assert_eq!(world.call(&request, version).await.error_code, code, "{request:?}");
    }
    let left = world.call(&next(&group, -1), version).await;
    assert_eq!((left.error_code, left.member_epoch), (ErrorCode::NONE, -1));
    assert_eq!(world.call(&next(&group, epoch), version).await.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

async fn cleanup_policy(world: &mut World, topic: Str) -> String {
    let keys = Some(vec!["cleanup.policy".into()]);
    let resource =
        describe_configs::DescribeConfigsResource { resource_type: 2, resource_name: topic, configuration_keys: keys };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = world.call(&request, 4).await;
    answer.results[0].configs[0].value.as_ref().unwrap().to_string()
}

async fn describe(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    let joined = world.call(&joining(&group, &topic), 0).await;
    let epoch = settle(world, &group, joined).await;
    world.call(&owning(&group, epoch), 0).await;
    let group_ids = vec![group.clone(), world.name("nobody")];
    let request = StreamsGroupDescribeRequest { group_ids, include_authorized_operations: true };
    let answer = world.call(&request, version).await;
    let [shown, none] = &answer.groups[..] else { panic!("{answer:?}") };
    assert_eq!((shown.error_code, &*shown.group_state), (ErrorCode::NONE, "Stable"));
    assert_eq!((shown.group_epoch, shown.assignment_epoch), (epoch, epoch));
    assert_ne!(shown.authorized_operations, i32::MIN);
    let topology = shown.topology.as_ref().unwrap();
    let [reading, counting] = topology.subtopologies.as_deref().unwrap() else { panic!("{topology:?}") };
    assert_eq!((topology.epoch, &reading.source_topics[..]), (0, std::slice::from_ref(&topic.name)));
    assert_eq!(reading.repartition_sink_topics, [Str::from(format!("{group}-repartition"))]);
    assert_eq!(counting.repartition_source_topics[0].partitions, 2);
    assert_eq!(&*counting.state_changelog_topics[0].name, format!("{group}-changelog"));
    let [member] = &shown.members[..] else { panic!("{shown:?}") };
    assert_eq!((&*member.member_id, member.member_epoch, &*member.process_id), ("own", epoch, "process"));
    assert_eq!(member.user_endpoint, Some(Endpoint { host: "here".into(), port: 8080 }));
    assert_eq!((&*member.client_tags[0].key, &*member.client_tags[0].value), ("zone", "a"));
    assert_eq!((&member.assignment.active_tasks, &member.target_assignment), (&all_tasks(), &member.assignment));
    assert!(!member.is_classic && member.client_host.starts_with('/'), "{member:?}");
    assert_eq!(none.error_code, ErrorCode::GROUP_ID_NOT_FOUND);
}
