//! The recorded answers of a real broker: same codes, same messages.

use serde_json::Value;
use uuid::Uuid;

use super::super::testing::{Cluster, registration};
use super::super::*;
use crate::metadata::{Resource, ResourceKind};
use crate::{BrokerId, TopicId};

const CASES: &str = include_str!("../../../../../tests/oracle/edge-errors.json");

/// Answered otherwise on purpose, or not by the controller.
const ELSEWHERE: &[(&str, &str)] = &[
    ("CreateTopics-40", "the time-out is the request handler's"),
    ("IncrementalAlterConfigs-09", "an unknown operation does not become a command"),
    ("IncrementalAlterConfigs-10", "an unknown resource type does not become a command"),
    ("IncrementalAlterConfigs-13", "same code; the message is a reason instead of '/ by zero'"),
    ("IncrementalAlterConfigs-14", "same code; any broker takes the request, so there is no one expected id"),
];

/// The cluster in which the cases were recorded.
fn recorded_cluster() -> Cluster {
    let mut cluster = Cluster::founded(&[
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
    ]);
    cluster.run(registration(1, 1)).unwrap();
    cluster.unfence(1);
    cluster.topic("t1", &[&[1], &[1]], &[]);
    cluster.topic("dots.a", &[&[1]], &[]);
    cluster.topic("del1", &[&[1]], &[]);
    for name in [internal_topics::CONSUMER_OFFSETS, internal_topics::TRANSACTION_STATE] {
        let topic = internal_topics::new_internal_topic(name, cluster.next_topic_id(), &cluster.settings).unwrap();
        let results = cluster.run(CreateTopics { topics: vec![topic], validate_only: false }).unwrap();
        assert_eq!(results[0].1.as_ref().unwrap().partitions, 50);
    }
    cluster
}

fn code(error: &Error) -> i64 {
    match error {
        Error::InvalidRequest(_) => 42,
        Error::InvalidTopic(_) => 17,
        Error::TopicAlreadyExists(_) => 36,
        Error::UnknownTopicOrPartition(_) => 3,
        Error::UnknownTopicId => 100,
        Error::InvalidPartitions(_) => 37,
        Error::InvalidReplicationFactor(_) => 38,
        Error::InvalidReplicaAssignment(_) => 39,
        Error::InvalidConfig(_) => 40,
        Error::PolicyViolation(_) => 44,
        other => panic!("no request gets {other:?}"),
    }
}

/// Code and message of each item of an answer.
type Answers = Vec<(i64, Option<String>)>;

fn answers<T>(results: impl IntoIterator<Item = Result<T, Error>>) -> Answers {
    let answer = |result: Result<T, Error>| match result {
        Ok(_) => (0, None),
        Err(error) => (code(&error), error.message()),
    };
    results.into_iter().map(answer).collect()
}

fn recorded(case: &Value) -> Answers {
    let errors = case["errors"].as_array().into_iter().flatten();
    errors.map(|error| (error["code"].as_i64().unwrap(), error["message"].as_str().map(str::to_owned))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> i32 {
    value.as_i64().unwrap_or_default().try_into().unwrap()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn brokers(value: &Value) -> Vec<BrokerId> {
    list(&value["replicas"]).map(|id| BrokerId(number(id))).collect()
}

fn pairs(value: &Value) -> Vec<(String, Option<String>)> {
    list(&value["configs"]).map(|one| (text(&one["name"]), one["value"].as_str().map(str::to_owned))).collect()
}

fn validate_only(request: &Value) -> bool {
    request["validate_only"].as_bool().unwrap_or_default()
}

fn resource(value: &Value) -> Resource {
    let kind = match value["resource_type"].as_str().unwrap() {
        "TOPIC" => ResourceKind::Topic,
        "BROKER" => ResourceKind::Broker,
        "CLIENT_METRICS" => ResourceKind::ClientMetrics,
        "GROUP_CONFIG" => ResourceKind::Group,
        other => panic!("{other}"),
    };
    Resource { kind, name: text(&value["resource_name"]) }
}

fn create_topics(cluster: &mut Cluster, request: &Value) -> Answers {
    let topic = |topic: &Value, id| NewTopic {
        name: text(&topic["topic"]),
        id,
        partitions: number(&topic["num_partitions"]),
        replication_factor: number(&topic["replication_factor"]).try_into().unwrap(),
        assignments: list(&topic["replica_assignment"])
            .map(|one| PartitionAssignment { partition: number(&one["partition"]), brokers: brokers(one) })
            .collect(),
        configs: pairs(topic),
    };
    let topics = list(&request["topics"]).map(|one| topic(one, cluster.next_topic_id())).collect();
    let results = cluster.run(CreateTopics { topics, validate_only: validate_only(request) }).unwrap();
    answers(results.into_iter().map(|(_, result)| result))
}

fn delete_topics(cluster: &mut Cluster, request: &Value) -> Answers {
    let id = |value: &Value| match value.as_str() {
        Some("<uuid>") => TopicId(Uuid::from_u128(99)),
        _ => TopicId::ZERO,
    };
    let name = |value: &Value| value.as_str().map(str::to_owned);
    let topics =
        list(&request["topics"]).map(|one| TopicRef { name: name(&one["topic"]), id: id(&one["topic_id"]) }).collect();
    answers(cluster.run(DeleteTopics { topics }).unwrap().into_iter().map(|(_, result)| result))
}

fn create_partitions(cluster: &mut Cluster, request: &Value) -> Answers {
    let more = |topic: &Value| MorePartitions {
        topic: text(&topic["topic"]),
        count: number(&topic["count"]),
        assignments: topic.get("assignment").map(|assignments| list(assignments).map(brokers).collect()),
    };
    let topics = list(&request["topics"]).map(more).collect();
    let results = cluster.run(CreatePartitions { topics, validate_only: validate_only(request) }).unwrap();
    answers(results.into_iter().map(|(_, result)| result))
}

fn incremental_alter_configs(cluster: &mut Cluster, request: &Value) -> Answers {
    let op = |value: &Value| match value.as_str().unwrap() {
        "SET" => ConfigOp::Set,
        "DELETE" => ConfigOp::Delete,
        "APPEND" => ConfigOp::Append,
        "SUBTRACT" => ConfigOp::Subtract,
        other => panic!("{other}"),
    };
    let change = |one: &Value| ConfigChange {
        key: text(&one["name"]),
        op: op(&one["op"]),
        value: one["value"].as_str().map(str::to_owned),
    };
    let changes =
        |one: &Value| ResourceChanges { resource: resource(one), changes: list(&one["configs"]).map(change).collect() };
    let resources = list(&request["resources"]).map(changes).collect();
    let results = cluster.run(IncrementalAlterConfigs { resources, validate_only: validate_only(request) }).unwrap();
    answers(results.into_iter().map(|(_, result)| result))
}

fn alter_configs(cluster: &mut Cluster, request: &Value) -> Answers {
    let values = |one: &Value| ResourceValues { resource: resource(one), values: pairs(one) };
    let resources = list(&request["resources"]).map(values).collect();
    let results = cluster.run(AlterConfigs { resources, validate_only: validate_only(request) }).unwrap();
    answers(results.into_iter().map(|(_, result)| result))
}

#[test]
fn every_recorded_answer_of_a_real_broker_is_given() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    let mut cluster = recorded_cluster();
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        if ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == id) {
            continue;
        }
        let request = &case["request"];
        let answers = match case["api"].as_str().unwrap() {
            "CreateTopics" => create_topics(&mut cluster, request),
            "DeleteTopics" => delete_topics(&mut cluster, request),
            "CreatePartitions" => create_partitions(&mut cluster, request),
            "IncrementalAlterConfigs" => incremental_alter_configs(&mut cluster, request),
            "AlterConfigs" => alter_configs(&mut cluster, request),
            _ => continue,
        };
        compared += 1;
        if answers != recorded(case) {
            wrong.push(format!("{id}: {answers:?}, a real broker: {:?}", recorded(case)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 76, "only {compared} cases compared");
}
