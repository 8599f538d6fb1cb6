//! Configurations: described, replaced, changed one by one, listed.

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::describe_configs::{DescribeConfigsResource, DescribeConfigsResult};
use ottla_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    alter_configs, incremental_alter_configs,
};

use super::world::{Scenario, Topic, World, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(DescribeConfigs, describe_configs),
    scenario!(AlterConfigs, alter_configs),
    scenario!(IncrementalAlterConfigs, incremental_alter_configs),
    scenario!(ListConfigResources, list_config_resources),
];

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
/// Where a value comes from.
const OF_TOPIC: i8 = 1;
const DEFAULT: i8 = 5;
/// What is done to a value.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
/// The type of a value that is a long integer.
const LONG: i8 = 5;

async fn describe(world: &mut World, version: i16, name: &Str, keys: Option<Vec<Str>>) -> DescribeConfigsResult {
    let resource =
        DescribeConfigsResource { resource_type: TOPIC, resource_name: name.clone(), configuration_keys: keys };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        include_documentation: version >= 3,
    };
    world.call(&request, version).await.results.remove(0)
}

/// The value of the topic's configuration, if the topic itself has one.
async fn own(world: &mut World, topic: &Topic, key: &'static str) -> Option<String> {
    let described = describe(world, 4, &topic.name, Some(vec![key.into()])).await;
    let [config] = &described.configs[..] else { panic!("{described:?}") };
    (config.config_source == OF_TOPIC).then(|| config.value.as_ref().unwrap().to_string())
}

async fn describe_configs(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    change(world, 1, &topic.name, &[("retention.ms", SET, Some("1234567"))], false).await;
    let keys = vec![Str::from("retention.ms"), Str::from("cleanup.policy")];
    let described = describe(world, version, &topic.name, Some(keys)).await;
    assert_eq!(
        (described.error_code, described.resource_type, &described.resource_name),
        (ErrorCode::NONE, TOPIC, &topic.name)
    );
    assert_eq!(described.configs.len(), 2, "only what was asked for");
    let find = |name: &str| described.configs.iter().find(|one| &*one.name == name).unwrap();
    let (retention, policy) = (find("retention.ms"), find("cleanup.policy"));
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("1234567"), OF_TOPIC));
    assert_eq!((policy.value.as_deref(), policy.config_source), (Some("delete"), DEFAULT));
    assert!(!retention.read_only && !retention.is_sensitive);
    let first = &retention.synonyms[0];
    assert_eq!((&*first.name, first.value.as_deref(), first.source), ("retention.ms", Some("1234567"), OF_TOPIC));
    // The type came with version 3 (KIP-569).
    assert_eq!(retention.config_type, if version >= 3 { LONG } else { 0 });
    assert!(describe(world, version, &topic.name, None).await.configs.len() > 20, "all of them");
    let unknown = describe(world, version, &Topic::unknown().name, None).await;
    assert_eq!((unknown.error_code, unknown.configs.len()), (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, 0));
}

async fn replace(world: &mut World, version: i16, name: &Str, configs: &[(&str, &str)], only_try: bool) -> ErrorCode {
    let config = |(name, value): &(&str, &str)| alter_configs::AlterableConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    };
    let configs = configs.iter().map(config).collect();
    let resource = alter_configs::AlterConfigsResource { resource_type: TOPIC, resource_name: name.clone(), configs };
    let request = AlterConfigsRequest { resources: vec![resource], validate_only: only_try };
    let answer = world.call(&request, version).await.responses.remove(0).error_code;
    world.cluster.settled().await;
    answer
}

async fn alter_configs(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    let both = [("retention.ms", "1234567"), ("max.message.bytes", "2000")];
    assert_eq!(replace(world, version, &topic.name, &both, true).await, ErrorCode::NONE);
    assert_eq!(own(world, &topic, "retention.ms").await, None, "it was only tried");
    assert_eq!(replace(world, version, &topic.name, &both, false).await, ErrorCode::NONE);
    assert_eq!(own(world, &topic, "max.message.bytes").await.as_deref(), Some("2000"));
    let refused = replace(world, version, &topic.name, &[("retention.ms", "soon")], false).await;
    assert_eq!(refused, ErrorCode::INVALID_CONFIG);
    assert_eq!(own(world, &topic, "retention.ms").await.as_deref(), Some("1234567"));
    // What is not named is no more.
    assert_eq!(replace(world, version, &topic.name, &both[..1], false).await, ErrorCode::NONE);
    assert_eq!(own(world, &topic, "retention.ms").await.as_deref(), Some("1234567"));
    assert_eq!(own(world, &topic, "max.message.bytes").await, None);
    let unknown = replace(world, version, &Topic::unknown().name, &both, false).await;
    assert_eq!(unknown, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

type Change<'c> = (&'c str, i8, Option<&'c str>);

async fn change_of(
    world: &mut World,
    version: i16,
    (kind, name): (i8, &Str),
    changes: &[Change<'_>],
    validate_only: bool,
) -> ErrorCode {
    let config = |(name, operation, value): &Change<'_>| incremental_alter_configs::AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Into::into),
    };
    let configs = changes.iter().map(config).collect();
    let resource =
        incremental_alter_configs::AlterConfigsResource { resource_type: kind, resource_name: name.clone(), configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
    let answer = world.call(&request, version).await.responses.remove(0).error_code;
    world.cluster.settled().await;
    answer
}

async fn change(world: &mut World, version: i16, topic: &Str, changes: &[Change<'_>], only_try: bool) -> ErrorCode {
    change_of(world, version, (TOPIC, topic), changes, only_try).await
}

async fn incremental_alter_configs(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    let both = [("retention.ms", SET, Some("1234567")), ("max.message.bytes", SET, Some("2000"))];
    assert_eq!(change(world, version, &topic.name, &both, true).await, ErrorCode::NONE);
    assert_eq!(own(world, &topic, "retention.ms").await, None, "it was only tried");
    // Each step, and what the two configurations are then.
    let steps: [(&[Change<'_>], Option<&str>, Option<&str>); 5] = [
        (&both, Some("1234567"), None),
        (&[("retention.ms", DELETE, None)], None, None),
        (&[("cleanup.policy", SET, Some("delete"))], None, Some("delete")),
        (&[("cleanup.policy", APPEND, Some("compact"))], None, Some("delete,compact")),
        (&[("cleanup.policy", SUBTRACT, Some("delete"))], None, Some("compact")),
    ];
    for (changes, retention, policy) in steps {
        assert_eq!(change(world, version, &topic.name, changes, false).await, ErrorCode::NONE);
        assert_eq!(own(world, &topic, "retention.ms").await.as_deref(), retention);
        assert_eq!(own(world, &topic, "cleanup.policy").await.as_deref(), policy);
        assert_eq!(own(world, &topic, "max.message.bytes").await.as_deref(), Some("2000"), "the rest stays");
    }
    let cases: [(&Str, Change<'_>, ErrorCode); 3] = [
        (&topic.name, ("retention.ms", SET, Some("soon")), ErrorCode::INVALID_CONFIG),
        (&topic.name, ("retention.ms", APPEND, Some("1")), ErrorCode::INVALID_CONFIG),
        (&Topic::unknown().name, ("retention.ms", SET, Some("1")), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ];
    for (name, one, code) in cases {
        assert_eq!(change(world, version, name, &[one], false).await, code);
    }
}

async fn list_config_resources(world: &mut World, version: i16) {
    let (topic, group, subscription) = (world.topic(1).await, world.name("group"), Str::from("subscription"));
    let own = [("consumer.session.timeout.ms", SET, Some("50000"))];
    assert_eq!(change_of(world, 1, (GROUP, &group), &own, false).await, ErrorCode::NONE);
    let wanted = [("metrics", SET, Some("*"))];
    assert_eq!(change_of(world, 1, (CLIENT_METRICS, &subscription), &wanted, false).await, ErrorCode::NONE);
    let mut list = async |resource_types| {
        let answer = world.call(&ListConfigResourcesRequest { resource_types }, version).await;
        let listed = answer.config_resources.into_iter().map(|one| (one.resource_type, one.resource_name));
        (answer.error_code, listed.collect::<Vec<_>>())
    };
    if version == 0 {
        // Which lists subscriptions to metrics of clients alone; the type came with version 1.
        assert_eq!(list(Vec::new()).await, (ErrorCode::NONE, vec![(CLIENT_METRICS, subscription)]));
        return;
    }
    let (code, all) = list(Vec::new()).await;
    assert_eq!(code, ErrorCode::NONE);
    let expected = [(TOPIC, topic.name), (GROUP, group.clone()), (CLIENT_METRICS, subscription), (BROKER, "0".into())];
    assert!(expected.iter().all(|one| all.contains(one)), "{all:?}");
    let (_, groups) = list(vec![GROUP]).await;
    assert!(groups.contains(&(GROUP, group)) && groups.iter().all(|(kind, _)| *kind == GROUP), "{groups:?}");
    assert_eq!(list(vec![99]).await.0, ErrorCode::UNSUPPORTED_VERSION);
}
