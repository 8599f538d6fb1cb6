//! Topics: made, grown, told, deleted.

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
};
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::describe_topic_partitions::{Cursor, TopicRequest};
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeTopicPartitionsRequest, MetadataRequest,
    MetadataResponse,
};
use uuid::Uuid;

use super::world::{Scenario, Topic, World, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(Metadata, metadata),
    scenario!(CreateTopics, create_topics),
    scenario!(DeleteTopics, delete_topics),
    scenario!(CreatePartitions, create_partitions),
    scenario!(DescribeTopicPartitions, describe_topic_partitions),
];

fn metadata_of(version: i16, topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
    // Before version 4 there is no way to forbid it.
    MetadataRequest { topics, allow_auto_topic_creation: version < 4, ..Default::default() }
}

async fn metadata(world: &mut World, version: i16) {
    let (topic, other) = (world.topic(2).await, world.topic(1).await);
    let named = |name: &Str| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
    let wanted = vec![named(&topic.name), named(&Topic::unknown().name)];
    let answer = world.call(&metadata_of(version, Some(wanted)), version).await;
    is_of_cluster(world, version, &answer);
    let [known, unknown] = &answer.topics[..] else { panic!("{answer:?}") };
    assert_eq!((known.error_code, known.name.as_ref(), known.is_internal), (ErrorCode::NONE, Some(&topic.name), false));
    assert_eq!(known.topic_id, if version >= 10 { topic.id } else { Uuid::nil() });
    assert_eq!(known.partitions.iter().map(|one| one.partition_index).collect::<Vec<_>>(), [0, 1]);
    for partition in &known.partitions {
        assert_eq!((partition.error_code, partition.leader_id), (ErrorCode::NONE, 0));
        assert_eq!((&partition.replica_nodes[..], &partition.isr_nodes[..]), (&[0][..], &[0][..]));
        assert_eq!(partition.leader_epoch, if version >= 7 { topic.epoch } else { -1 });
        assert!(partition.offline_replicas.is_empty());
    }
    assert_eq!((unknown.error_code, unknown.partitions.len()), (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, 0));
    // All of them: an empty list in version 0, none later; then an empty list means no topic.
    let all = if version == 0 { Some(Vec::new()) } else { None };
    let listed: Vec<Str> =
        world.call(&metadata_of(version, all), version).await.topics.into_iter().filter_map(|one| one.name).collect();
    assert!(listed.contains(&topic.name) && listed.contains(&other.name), "{listed:?}");
    if version >= 1 {
        assert_eq!(world.call(&metadata_of(version, Some(Vec::new())), version).await.topics, []);
    }
    if version >= 12 {
        // By id (KIP-516); before version 12 clients could not yet leave out the name.
        let by_id = |topic_id| MetadataRequestTopic { topic_id, name: None };
        let wanted = vec![by_id(topic.id), by_id(Topic::unknown().id)];
        let answer = world.call(&metadata_of(version, Some(wanted)), version).await;
        let [known, unknown] = &answer.topics[..] else { panic!("{answer:?}") };
        assert_eq!((known.error_code, known.name.as_ref()), (ErrorCode::NONE, Some(&topic.name)));
        assert_eq!((unknown.error_code, &unknown.name), (ErrorCode::UNKNOWN_TOPIC_ID, &None));
    }
}

fn is_of_cluster(world: &World, version: i16, answer: &MetadataResponse) {
    let [broker] = &answer.brokers[..] else { panic!("{answer:?}") };
    assert_eq!((broker.node_id, format!("{}:{}", broker.host, broker.port)), (0, world.cluster.address(0)));
    assert_eq!(answer.controller_id, if version >= 1 { 0 } else { -1 });
    let image = world.cluster.image(0);
    assert_eq!(answer.cluster_id.as_deref(), (version >= 2).then(|| image.cluster_id()));
}

fn topic_of(name: &Str) -> CreatableTopic {
    let config = CreatableTopicConfig { name: "retention.ms".into(), value: Some("1234567".into()) };
    let (name, configs) = (name.clone(), vec![config]);
    CreatableTopic { name, num_partitions: 3, replication_factor: 1, configs, ..Default::default() }
}

async fn create(world: &mut World, version: i16, topic: CreatableTopic, validate_only: bool) -> CreatableTopicResult {
    let request = CreateTopicsRequest { topics: vec![topic], validate_only, ..Default::default() };
    world.call(&request, version).await.topics.remove(0)
}

/// The partitions of a topic, as the cluster has it; none if there is none.
fn partitions(world: &World, name: &Str) -> Option<usize> {
    world.cluster.image(0).topic(name).map(|topic| topic.partitions.len())
}

async fn create_topics(world: &mut World, version: i16) {
    let name = world.name("made");
    let tried = create(world, version, topic_of(&name), true).await;
    assert_eq!((tried.error_code, partitions(world, &name)), (ErrorCode::NONE, None), "it was only asked");
    let made = create(world, version, topic_of(&name), false).await;
    assert_eq!((made.error_code, &made.name), (ErrorCode::NONE, &name));
    let topic = world.found(name.clone()).await;
    assert_eq!(partitions(world, &name), Some(3));
    // What it has become is told since version 5 (KIP-525), and its id since version 7.
    let (count, factor) = if version >= 5 { (3, 1) } else { (-1, -1) };
    assert_eq!((made.num_partitions, made.replication_factor), (count, factor));
    let retention = made.configs.iter().flatten().find(|one| &*one.name == "retention.ms");
    assert_eq!(retention.and_then(|one| one.value.as_deref()), (version >= 5).then_some("1234567"));
    assert_eq!(made.topic_id, if version >= 7 { topic.id } else { Uuid::nil() });

    let assignments = vec![
        CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![0] },
        CreatableReplicaAssignment { partition_index: 1, broker_ids: vec![0] },
    ];
    let placed = world.name("placed");
    let by_hand = CreatableTopic { num_partitions: -1, replication_factor: -1, assignments, ..topic_of(&placed) };
    assert_eq!(create(world, version, by_hand, false).await.error_code, ErrorCode::NONE);
    world.cluster.settled().await;
    assert_eq!(partitions(world, &placed), Some(2));

    let refused = world.name("refused");
    let strange = CreatableTopicConfig { name: "retention.ms".into(), value: Some("soon".into()) };
    let cases = [
        (topic_of(&name), ErrorCode::TOPIC_ALREADY_EXISTS),
        (topic_of(&"not a name".into()), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (CreatableTopic { num_partitions: 0, ..topic_of(&refused) }, ErrorCode::INVALID_PARTITIONS),
        (CreatableTopic { replication_factor: 9, ..topic_of(&refused) }, ErrorCode::INVALID_REPLICATION_FACTOR),
        (CreatableTopic { configs: vec![strange], ..topic_of(&refused) }, ErrorCode::INVALID_CONFIG),
    ];
    for (topic, code) in cases {
        let answer = create(world, version, topic, false).await;
        assert_eq!((answer.error_code, answer.error_message.is_some()), (code, true));
    }
    assert_eq!(partitions(world, &refused), None);
}

async fn delete_topics(world: &mut World, version: i16) {
    let (topic, kept) = (world.topic(1).await, world.topic(1).await);
    let unknown = Topic::unknown();
    if version < 6 {
        let topic_names = vec![topic.name.clone(), unknown.name.clone()];
        let request = DeleteTopicsRequest { topic_names, timeout_ms: 5000, ..Default::default() };
        let mut codes: Vec<_> =
            world.call(&request, version).await.responses.into_iter().map(|one| (one.error_code, one.name)).collect();
        codes.sort_by_key(|(code, _)| code.is_error());
        let refused = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Some(unknown.name));
        assert_eq!(codes, [(ErrorCode::NONE, Some(topic.name.clone())), refused]);
    } else {
        let by_id = |topic_id| DeleteTopicState { name: None, topic_id };
        let by_name = |name: &Str| DeleteTopicState { name: Some(name.clone()), topic_id: Uuid::nil() };
        let topics = vec![by_id(topic.id), by_id(unknown.id), by_name(&unknown.name)];
        let request = DeleteTopicsRequest { topics, timeout_ms: 5000, ..Default::default() };
        let answer = world.call(&request, version).await;
        let code_of = |id: Uuid, name: Option<&Str>| {
            let found = answer.responses.iter().find(|one| one.topic_id == id && one.name.as_ref() == name);
            found.unwrap_or_else(|| panic!("{answer:?}")).error_code
        };
        assert_eq!(code_of(topic.id, Some(&topic.name)), ErrorCode::NONE);
        assert_eq!(code_of(unknown.id, None), ErrorCode::UNKNOWN_TOPIC_ID);
        assert_eq!(code_of(Uuid::nil(), Some(&unknown.name)), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    world.cluster.settled().await;
    assert_eq!((partitions(world, &topic.name), partitions(world, &kept.name)), (None, Some(1)));
}

async fn create_partitions(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    let mut grow = async |name: &Str, count, assignments, validate_only| {
        let topics = vec![CreatePartitionsTopic { name: name.clone(), count, assignments }];
        let request = CreatePartitionsRequest { topics, timeout_ms: 5000, validate_only };
        let answer = world.call(&request, version).await.results.remove(0).error_code;
        world.cluster.settled().await;
        (answer, partitions(world, name))
    };
    assert_eq!(grow(&topic.name, 3, None, true).await, (ErrorCode::NONE, Some(1)));
    assert_eq!(grow(&topic.name, 3, None, false).await, (ErrorCode::NONE, Some(3)));
    assert_eq!(grow(&topic.name, 2, None, false).await, (ErrorCode::INVALID_PARTITIONS, Some(3)));
    let on = |broker_ids| Some(vec![CreatePartitionsAssignment { broker_ids }]);
    assert_eq!(grow(&topic.name, 4, on(vec![9]), false).await, (ErrorCode::INVALID_REPLICA_ASSIGNMENT, Some(3)));
    assert_eq!(grow(&topic.name, 4, on(vec![0]), false).await, (ErrorCode::NONE, Some(4)));
    assert_eq!(grow(&Topic::unknown().name, 4, None, false).await, (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None));
}

async fn describe_topic_partitions(world: &mut World, version: i16) {
    let topic = world.topic(3).await;
    let mut describe = async |limit, cursor| {
        let topics = vec![TopicRequest { name: topic.name.clone() }];
        let request = DescribeTopicPartitionsRequest { topics, response_partition_limit: limit, cursor };
        let mut answer = world.call(&request, version).await;
        let told = answer.topics.remove(0);
        assert_eq!(
            (told.error_code, told.name.as_ref(), told.topic_id),
            (ErrorCode::NONE, Some(&topic.name), topic.id)
        );
        for partition in &told.partitions {
            assert_eq!((partition.leader_id, partition.leader_epoch), (0, topic.epoch));
            assert_eq!((&partition.replica_nodes[..], &partition.isr_nodes[..]), (&[0][..], &[0][..]));
        }
        let indexes: Vec<i32> = told.partitions.iter().map(|one| one.partition_index).collect();
        (indexes, answer.next_cursor)
    };
    // A page at a time (KIP-966).
    let (first, cursor) = describe(2, None).await;
    let next = Cursor { topic_name: topic.name.clone(), partition_index: 2 };
    assert_eq!((first, cursor), (vec![0, 1], Some(next.clone())));
    assert_eq!(describe(2, Some(next)).await, (vec![2], None));
    let topics = vec![TopicRequest { name: Topic::unknown().name }];
    let request = DescribeTopicPartitionsRequest { topics, ..Default::default() };
    let unknown = world.call(&request, version).await;
    assert_eq!(unknown.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}
