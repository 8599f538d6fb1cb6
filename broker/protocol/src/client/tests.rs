//! The client against brokers that answer as a test says.

mod direct;
mod script;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use uuid::Uuid;

use script::{
    Action, Broker, alone, answer, api_versions, config, connect, decode, list_offsets_answer, metadata, next_request,
};

use super::{BrokerId, Client, ClientConfig, DirectConnection, Error, FetchLimits, HostsFileThenDns};
use crate::codec::{Reader, Request};
use crate::frame::{self, RequestHeader};
use crate::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use crate::messages::find_coordinator::Coordinator;
use crate::messages::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::messages::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use crate::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use crate::messages::*;
use crate::{ApiKey, ErrorCode};

#[tokio::test]
async fn the_highest_common_version_is_used() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let seen = broker.run(move |header, _| match header.key().unwrap() {
        ApiKey::ApiVersions => {
            answer::<ApiVersionsRequest>(header, &api_versions(&[(ApiKey::Metadata, 9), (ApiKey::ListOffsets, 5)]))
        }
        ApiKey::Metadata => answer::<MetadataRequest>(header, &metadata(vec![endpoint.clone()], Uuid::nil(), 0)),
        _ => list_offsets_answer(header, ErrorCode::NONE, 42),
    });
    let client = connect(address).await;
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 42);
    let requests = seen.requests.lock();
    assert!(requests.contains(&(ApiKey::ApiVersions, 4)));
    assert!(requests.contains(&(ApiKey::Metadata, 9)));
    assert!(requests.contains(&(ApiKey::ListOffsets, 5)));
}

#[tokio::test]
async fn a_broker_that_refuses_api_versions_v4_is_asked_at_its_own_version() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let serve = alone(endpoint, |header, _| list_offsets_answer(header, ErrorCode::NONE, 1));
    let seen = broker.run(move |header, reader| {
        if header.key() == Some(ApiKey::ApiVersions) && header.api_version > 2 {
            let own = ApiVersion { api_key: ApiKey::ApiVersions.number(), min_version: 0, max_version: 2 };
            let refusal = ApiVersionsResponse {
                error_code: ErrorCode::UNSUPPORTED_VERSION,
                api_keys: vec![own],
                ..Default::default()
            };
            let encoded = frame::encode_response(header.correlation_id, 0, &refusal, 0);
            return Action::Answer(encoded.unwrap().bytes);
        }
        serve(header, reader)
    });
    connect(address).await;
    assert_eq!(seen.requests.lock()[..2], [(ApiKey::ApiVersions, 4), (ApiKey::ApiVersions, 2)]);
}

#[tokio::test]
async fn calls_of_one_connection_are_pipelined_and_each_gets_its_own_answer() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let seen = broker.run(alone(endpoint, |header, reader| {
        let request: ListOffsetsRequest = decode::<ListOffsetsRequest>(header, reader);
        list_offsets_answer(header, ErrorCode::NONE, request.topics[0].partitions[0].timestamp * 2)
    }));
    let client = connect(address).await;
    client.list_offset("t", 0, 0).await.unwrap();
    let connections = seen.connections.load(Ordering::SeqCst);
    let calls = (1..200).map(|timestamp| {
        let client = client.clone();
        tokio::spawn(async move { (timestamp, client.list_offset("t", 0, timestamp).await.unwrap()) })
    });
    for call in calls.collect::<Vec<_>>() {
        let (timestamp, offset) = call.await.unwrap();
        assert_eq!(offset, timestamp * 2);
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), connections);
}

#[tokio::test]
async fn a_request_follows_the_leader_when_it_moves() {
    let (old, new) = (Broker::bind().await, Broker::bind().await);
    let address = old.address;
    let brokers = vec![old.endpoint(0), new.endpoint(1)];
    let leader = Arc::new(AtomicUsize::new(0));
    let script = |own: usize| {
        let (brokers, leader) = (brokers.clone(), leader.clone());
        move |header: &RequestHeader, _: &mut Reader| match header.key().unwrap() {
            ApiKey::ApiVersions => answer::<ApiVersionsRequest>(header, &api_versions(&[])),
            ApiKey::Metadata => {
                let leader = leader.load(Ordering::SeqCst) as i32;
                answer::<MetadataRequest>(header, &metadata(brokers.clone(), Uuid::from_u128(7), leader))
            }
            _ if leader.load(Ordering::SeqCst) == own => list_offsets_answer(header, ErrorCode::NONE, own as i64),
            _ => list_offsets_answer(header, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1),
        }
    };
    old.run(script(0));
    new.run(script(1));
    let client = connect(address).await;
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 0);
    leader.store(1, Ordering::SeqCst);
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 1);
}

#[tokio::test]
async fn a_request_whose_connection_breaks_is_sent_again() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let breaks = AtomicUsize::new(3);
    let seen = broker.run(alone(endpoint, move |header, _| {
        let left = breaks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { Action::Close } else { list_offsets_answer(header, ErrorCode::NONE, 9) }
    }));
    let client = connect(address).await;
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 9);
    assert_eq!(seen.count(ApiKey::ListOffsets), 4);
}

#[tokio::test]
async fn an_error_that_no_retry_cures_is_returned_at_once_and_a_retriable_one_at_the_deadline() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let code = Arc::new(Mutex::new(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let scripted = code.clone();
    let seen = broker.run(alone(endpoint, move |header, _| list_offsets_answer(header, *scripted.lock(), -1)));
    let client = connect(address).await;
    let error = client.list_offset("t", 0, -1).await.unwrap_err();
    assert!(matches!(error, Error::Broker { code: ErrorCode::TOPIC_AUTHORIZATION_FAILED, .. }), "{error}");
    assert_eq!(seen.count(ApiKey::ListOffsets), 1);

    *code.lock() = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let error = client.with_deadline(Duration::from_millis(200)).list_offset("t", 0, -1).await.unwrap_err();
    assert!(matches!(error, Error::Broker { code: ErrorCode::NOT_LEADER_OR_FOLLOWER, .. }), "{error}");
    assert!(seen.count(ApiKey::ListOffsets) > 2);
}

#[tokio::test]
async fn a_broker_that_does_not_answer_costs_one_request_timeout_and_its_connection() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let ignored = AtomicUsize::new(0);
    let seen = broker.run(alone(endpoint, move |header, _| {
        let is_first = ignored.fetch_add(1, Ordering::SeqCst) == 0;
        if is_first { Action::Ignore } else { list_offsets_answer(header, ErrorCode::NONE, 5) }
    }));
    let config = ClientConfig { request_timeout: Duration::from_millis(100), ..config() };
    let client = Client::connect([address.to_string()], config).await.unwrap();
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 5);
    assert_eq!(seen.count(ApiKey::ListOffsets), 2);
    // The bootstrap connection, the one that timed out, and its successor.
    assert_eq!(seen.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_response_that_is_too_large_or_out_of_order_closes_the_connection() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let oversized = Arc::new(Mutex::new(true));
    let scripted = oversized.clone();
    broker.run(alone(endpoint, move |header, _| {
        if *scripted.lock() {
            return Action::Answer(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0]));
        }
        let other = RequestHeader { correlation_id: header.correlation_id + 1, ..header.clone() };
        list_offsets_answer(&other, ErrorCode::NONE, 0)
    }));
    let client = connect(address).await.with_deadline(Duration::from_millis(100));
    let error = client.list_offset("t", 0, -1).await.unwrap_err();
    assert!(matches!(&error, Error::Disconnected { reason, .. } if reason.contains("over the limit")), "{error}");
    *oversized.lock() = false;
    let error = client.list_offset("t", 0, -1).await.unwrap_err();
    assert!(matches!(&error, Error::Disconnected { reason, .. } if reason.contains("was next")), "{error}");
}

#[tokio::test]
async fn a_group_request_finds_its_coordinator_again_when_that_moves() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let coordinator = Coordinator { node_id: 0, host: "127.0.0.1".into(), port: endpoint.port, ..Default::default() };
    let heartbeats = AtomicUsize::new(0);
    let seen = broker.run(alone(endpoint, move |header, _| {
        if header.key() == Some(ApiKey::FindCoordinator) {
            let coordinators = vec![coordinator.clone()];
            let response = FindCoordinatorResponse { coordinators, ..Default::default() };
            return answer::<FindCoordinatorRequest>(header, &response);
        }
        let error_code = match heartbeats.fetch_add(1, Ordering::SeqCst) {
            0 => ErrorCode::NOT_COORDINATOR,
            1 => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            _ => ErrorCode::REBALANCE_IN_PROGRESS,
        };
        answer::<HeartbeatRequest>(header, &HeartbeatResponse { error_code, ..Default::default() })
    }));
    let client = connect(address).await;
    let request = HeartbeatRequest { group_id: "g".into(), ..Default::default() };
    let response = client.send_to_coordinator("g", &request).await.unwrap();
    assert_eq!(response.error_code, ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(seen.count(ApiKey::FindCoordinator), 3);
}

#[tokio::test]
async fn a_group_and_a_transactional_id_of_one_name_have_coordinators_of_their_own() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let coordinator = Coordinator { node_id: 0, host: "127.0.0.1".into(), port: endpoint.port, ..Default::default() };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    broker.run(alone(endpoint, move |header, reader| {
        if header.key() == Some(ApiKey::FindCoordinator) {
            noted.lock().push(decode::<FindCoordinatorRequest>(header, reader).key_type);
            let coordinators = vec![coordinator.clone()];
            let response = FindCoordinatorResponse { coordinators, ..Default::default() };
            return answer::<FindCoordinatorRequest>(header, &response);
        }
        answer::<HeartbeatRequest>(header, &HeartbeatResponse::default())
    }));
    let client = connect(address).await;
    let request = HeartbeatRequest { group_id: "name".into(), ..Default::default() };
    for _ in 0..2 {
        client.send_to_coordinator("name", &request).await.unwrap();
        client.send_to_transaction_coordinator("name", &request).await.unwrap();
    }
    assert_eq!(*asked.lock(), [0, 1]);
}

/// Answers Produce and Fetch for whatever topic they name.
fn produce_answer(header: &RequestHeader, reader: &mut Reader) -> Action {
    let request = decode::<ProduceRequest>(header, reader);
    if request.acks == 0 {
        return Action::Ignore;
    }
    let topic = &request.topic_data[0];
    let partition = PartitionProduceResponse { base_offset: 77, ..Default::default() };
    let responses = vec![TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: vec![partition],
    }];
    answer::<ProduceRequest>(header, &ProduceResponse { responses, ..Default::default() })
}

#[tokio::test]
async fn produce_names_a_topic_by_its_id_where_the_cluster_gives_one_and_else_by_name() {
    let batch = || Bytes::from_static(b"batch");
    for (metadata_version, expected) in [(12, 13), (9, 12)] {
        let broker = Broker::bind().await;
        let (address, endpoint) = (broker.address, broker.endpoint(0));
        let others = alone(endpoint, produce_answer);
        let seen = broker.run(move |header, reader| match header.key() {
            Some(ApiKey::ApiVersions) => {
                answer::<ApiVersionsRequest>(header, &api_versions(&[(ApiKey::Metadata, metadata_version)]))
            }
            _ => others(header, reader),
        });
        let client = connect(address).await;
        let produced = client.produce("t", 0, batch(), -1, Duration::from_secs(1)).await.unwrap();
        assert_eq!(produced.base_offset, 77);
        assert!(seen.requests.lock().contains(&(ApiKey::Produce, expected)));
    }
}

#[tokio::test]
async fn produce_without_acks_waits_for_no_answer() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    let seen = broker.run(alone(endpoint, produce_answer));
    let client = connect(address).await;
    client.produce("t", 0, Bytes::from_static(b"batch"), 0, Duration::from_secs(1)).await.unwrap();
    // The answer to what is sent behind it comes first.
    let acked = client.produce("t", 0, Bytes::from_static(b"batch"), 1, Duration::from_secs(1)).await.unwrap();
    assert_eq!(acked.base_offset, 77);
    assert_eq!(seen.count(ApiKey::Produce), 2);
}

#[tokio::test]
async fn a_long_poll_does_not_hold_up_other_requests() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    broker.run(alone(endpoint, |header, _| match header.key() {
        Some(ApiKey::Fetch) => Action::Ignore,
        _ => list_offsets_answer(header, ErrorCode::NONE, 3),
    }));
    let client = connect(address).await;
    let polling = tokio::spawn({
        let client = client.clone();
        async move { client.fetch("t", 0, 0, FetchLimits::default()).await }
    });
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 3);
    polling.abort();
}

#[tokio::test]
async fn names_are_resolved_by_the_hosts_file_before_dns() {
    let broker = Broker::bind().await;
    let (address, mut endpoint) = (broker.address, broker.endpoint(0));
    endpoint.host = "demo-0.demo-brokers.invalid".into();
    broker.run(alone(endpoint, |header, _| list_offsets_answer(header, ErrorCode::NONE, 3)));
    let file = std::env::temp_dir().join(format!("ottla-hosts-{}", Uuid::new_v4()));
    std::fs::write(&file, "127.0.0.1 demo-0.demo-brokers.invalid\n").unwrap();
    let config = ClientConfig { resolver: Arc::new(HostsFileThenDns::with_file(&file)), ..config() };
    let bootstrap = format!("demo-0.demo-brokers.invalid:{}", address.port());
    let client = Client::connect([bootstrap], config).await.unwrap();
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 3);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn connecting_tries_each_bootstrap_address_and_gives_up_at_the_deadline() {
    let broker = Broker::bind().await;
    let (address, endpoint) = (broker.address, broker.endpoint(0));
    broker.run(alone(endpoint, |_, _| Action::Close));
    let dead = Broker::bind().await.address.to_string();
    let client = Client::connect([dead.clone(), address.to_string()], config()).await.unwrap();
    assert_eq!(client.metadata().brokers.keys().collect::<Vec<_>>(), [&BrokerId(0)]);

    let impatient = ClientConfig { deadline: Duration::from_millis(100), ..config() };
    let error = Client::connect([dead], impatient).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let error = Client::connect(["nonsense".to_owned()], config()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidAddress(_)), "{error}");
}
