//! What whoever operates a broker sees and sets: request metrics, the free-space reserve, who may write internal topics.

use std::time::Duration;

use ottla_core::config::ADVERTISED;
use ottla_core::controller::{ConfigChange, ConfigOp, IncrementalAlterConfigs, ResourceChanges};
use ottla_core::metadata::Resource;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, ClientConfig};
use ottla_protocol::messages::{DeleteTopicsRequest, MetadataRequest, MetadataResponse};

use super::produce_fetch::{batch, produce};
use super::raw::Raw;
use crate::node::gauges;
use crate::telemetry::Exposition;
use crate::testing::TestBroker;

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_request_is_counted_and_timed_under_its_name() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    broker.create_topic("t", 1, &[]).await;
    for acks in [1, -1, 0] {
        client.produce("t", 0, batch("v"), acks, TIMEOUT).await.unwrap();
    }
    // Answered behind the one without an answer.
    client.produce("t", 0, batch("v"), 1, TIMEOUT).await.unwrap();
    let text =
        Exposition::new(broker.running.broker.replicas.metrics(), gauges::of(&broker.running)).text().await.unwrap();
    for line in [
        "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 4",
        "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"} 4",
        "kafka_network_requestmetrics_requests_total{request=\"DeleteGroups\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_free_space_reserve_may_be_changed_while_the_broker_runs() {
    let broker = TestBroker::start().await;
    let mut client = Raw::connect(broker.address()).await;
    broker.create_topic("t", 1, &[]).await;
    let mut reserve = async |bytes: i64| {
        let key = "ottla.free.space.reserve.bytes".to_owned();
        let change = ConfigChange { key, op: ConfigOp::Set, value: Some(bytes.to_string()) };
        let resources = vec![ResourceChanges { resource: Resource::every_broker(), changes: vec![change] }];
        let command = IncrementalAlterConfigs { resources, validate_only: false };
        broker.controller.submit(command).await.unwrap();
        client.call(&produce("t", 1, batch("v")), 9).await.responses[0].partition_responses[0].error_code
    };
    assert_eq!(reserve(i64::MAX).await, ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(reserve(0).await, ErrorCode::NONE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn internal_topics_are_written_by_kafkas_own_tools_alone() {
    let broker = TestBroker::start().await;
    let topic = "__consumer_offsets";
    let mut client = Raw::connect(broker.address()).await;
    let mut answer = async || client.call(&produce(topic, 1, batch("v")), 9).await.responses.remove(0);
    let missing = answer().await.partition_responses[0].error_code;
    assert_eq!(missing, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    broker.create_topic(topic, 1, &[]).await;
    let refused = answer().await.partition_responses[0].error_code;
    assert_eq!(refused, ErrorCode::INVALID_TOPIC_EXCEPTION);
    let tool = Client::connect([broker.address().to_string()], ClientConfig::new("__admin_client")).await.unwrap();
    let written = tool.produce(topic, 0, batch("v"), 1, TIMEOUT).await.unwrap();
    assert_eq!((written.error_code, written.base_offset), (ErrorCode::NONE, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_topic_is_deleted_where_it_is_forbidden() {
    let broker = TestBroker::start_with(&[("delete.topic.enable", "false")]).await;
    let mut client = Raw::connect(broker.address()).await;
    broker.create_topic("t", 1, &[]).await;
    let request = DeleteTopicsRequest { topic_names: vec!["t".into()], ..DeleteTopicsRequest::default() };
    let refused = client.call(&request, 5).await.responses;
    assert_eq!(refused[0].error_code, ErrorCode::TOPIC_DELETION_DISABLED);
    assert_eq!(refused[0].error_message.as_deref(), Some("delete.topic.enable is false on this broker"));
    let refused = client.call(&request, 2).await.responses;
    assert_eq!(refused[0].error_code, ErrorCode::INVALID_REQUEST, "older clients do not know the other");
    assert!(broker.running.broker.image().topic("t").is_some());
}

/// Where the only broker and the leader of the only partition are, as a client is told.
fn told(answer: &MetadataResponse) -> (Vec<(String, i32)>, i32, ErrorCode) {
    let brokers = answer.brokers.iter().map(|broker| (broker.host.to_string(), broker.port));
    let partition = &answer.topics[0].partitions[0];
    (brokers.collect(), partition.leader_id, partition.error_code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_listener_are_told_the_address_that_was_set_while_the_broker_runs() {
    let broker = TestBroker::start_with(&[
        ("listeners", "PLAINTEXT://127.0.0.1:0,EXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
        ("advertised.listeners", "PLAINTEXT://127.0.0.1:9092"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,EXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ])
    .await;
    broker.create_topic("t", 1, &[]).await;
    let addresses = &broker.running.addresses;
    let (mut inside, mut outside) = (Raw::connect(addresses[0].1).await, Raw::connect(addresses[1].1).await);
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let set = async |value: Option<&str>| {
        let key = ADVERTISED.to_owned();
        let op = if value.is_some() { ConfigOp::Set } else { ConfigOp::Delete };
        let change = ConfigChange { key, op, value: value.map(str::to_owned) };
        let id = broker.running.broker.config.node_id.to_string();
        let resources = vec![ResourceChanges { resource: Resource::broker(id), changes: vec![change] }];
        let command = IncrementalAlterConfigs { resources, validate_only: false };
        broker.controller.submit(command).await.unwrap().remove(0).1
    };
    let nobody = (vec![], -1, ErrorCode::LISTENER_NOT_FOUND);
    assert_eq!(told(&outside.call(&request, 9).await), nobody, "it is advertised to nobody");
    assert_eq!(told(&outside.call(&request, 5).await).2, ErrorCode::LEADER_NOT_AVAILABLE);
    let id = broker.running.broker.config.node_id.0;
    for address in ["203.0.113.7", "2001:db8::7"] {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        set(Some(&format!("EXT://{host}:30007"))).await.unwrap();
        let there = (vec![(address.to_owned(), 30007)], id, ErrorCode::NONE);
        assert_eq!(told(&outside.call(&request, 9).await), there);
    }
    let registered = (vec![("127.0.0.1".to_owned(), 9092)], id, ErrorCode::NONE);
    assert_eq!(told(&inside.call(&request, 9).await), registered, "the other listener is as it was");
    assert!(set(Some("EXT://0.0.0.0:1")).await.is_err());
    set(None).await.unwrap();
    assert_eq!(told(&outside.call(&request, 9).await), nobody);
}
