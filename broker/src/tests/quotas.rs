//! Quotas of clients (KIP-546), and how those over them are held back (KIP-219).

use std::time::{Duration, Instant};

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Records;
use ottla_protocol::messages::alter_client_quotas::{EntityData, EntryData, OpData};
use ottla_protocol::messages::create_partitions::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics::CreatableTopic;
use ottla_protocol::messages::describe_client_quotas::ComponentData;
use ottla_protocol::messages::{
    AlterClientQuotasRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClientQuotasRequest, DescribeClientQuotasResponse, FetchResponse,
};
use serde_json::Value;

use super::produce_fetch::{batch, fetch, produce};
use super::raw::Raw;
use crate::testing::TestBroker;

/// A rate is measured over a second at least.
pub(super) const WINDOWS: [(&str, &str); 2] = [("quota.window.num", "2"), ("quota.window.size.seconds", "1")];

/// Sets a quota of so much a second for the entity of one part, which is the default if it has no name.
pub(super) async fn limit(raw: &mut Raw, kind: &str, name: Option<&str>, key: &str, value: f64) {
    let entity = vec![EntityData { entity_type: kind.into(), entity_name: name.map(Into::into) }];
    let ops = vec![OpData { key: key.into(), value, remove: false }];
    let request = AlterClientQuotasRequest { entries: vec![EntryData { entity, ops }], validate_only: false };
    let answer = raw.call(&request, 1).await;
    assert_eq!((answer.entries[0].error_code, &answer.entries[0].error_message), (ErrorCode::NONE, &None));
}

/// Sends a request of no weight: how long after `began` it is answered.
async fn next_answer(raw: &mut Raw, began: Instant) -> Duration {
    raw.call(&ApiVersionsRequest::default(), 0).await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_over_its_quota_is_told_and_its_connection_held_back() {
    let broker = TestBroker::start_with(&WINDOWS).await;
    broker.create_topic("t", 1, &[]).await;
    let mut raw = Raw::connect(broker.address()).await;
    let free = raw.call(&produce("t", 1, batch(&"v".repeat(1500))), 9).await;
    assert_eq!(free.throttle_time_ms, 0);

    limit(&mut raw, "client-id", None, "producer_byte_rate", 1000.0).await;
    let began = Instant::now();
    let over = raw.call(&produce("t", -1, batch(&"v".repeat(1500))), 9).await;
    assert_eq!(over.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    assert!((500..1000).contains(&over.throttle_time_ms), "{}", over.throttle_time_ms);
    let throttle = Duration::from_millis(over.throttle_time_ms as u64);
    assert!(next_answer(&mut raw, began).await >= throttle);

    // Where nothing is answered the connection is held back all the same; others are not, but share what is left.
    let mut other = Raw::connect(broker.address()).await;
    let began = Instant::now();
    other.send(&produce("t", 0, batch(&"v".repeat(1500))), 9).await;
    assert!(next_answer(&mut other, began).await >= Duration::from_millis(500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_over_its_quota_gets_no_more_at_once_than_a_rate_is_measured_over() {
    let broker = TestBroker::start_with(&WINDOWS).await;
    broker.create_topic("t", 1, &[]).await;
    let mut raw = Raw::connect(broker.address()).await;
    for _ in 0..3 {
        raw.call(&produce("t", -1, batch(&"v".repeat(1500))), 9).await;
    }
    let bytes = |answer: &FetchResponse| match &answer.responses[0].partitions[0].records {
        Some(Records::Bytes(bytes)) => bytes.len(),
        other => panic!("no records but {other:?}"),
    };
    let free = raw.call(&fetch("t", 0, 0, 1), 12).await;
    assert!(bytes(&free) > 4500 && free.throttle_time_ms == 0);

    limit(&mut raw, "user", Some("ANONYMOUS"), "consumer_byte_rate", 1000.0).await;
    let began = Instant::now();
    let over = raw.call(&fetch("t", 0, 0, 1), 12).await;
    assert!((1500..2000).contains(&bytes(&over)), "one batch, since that is too much already: {}", bytes(&over));
    assert!((500..1000).contains(&over.throttle_time_ms), "{}", over.throttle_time_ms);
    let throttle = Duration::from_millis(over.throttle_time_ms as u64);
    assert!(next_answer(&mut raw, began).await >= throttle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_are_told_as_they_were_set_and_taken_away() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    let described = async |raw: &mut Raw| -> DescribeClientQuotasResponse {
        let component = ComponentData { entity_type: "user".into(), match_type: 2, matched: None };
        raw.call(&DescribeClientQuotasRequest { components: vec![component], strict: false }, 1).await
    };
    limit(&mut raw, "user", Some("u"), "producer_byte_rate", 1000.0).await;
    limit(&mut raw, "user", None, "consumer_byte_rate", 1000.0).await;
    limit(&mut raw, "client-id", Some("c"), "consumer_byte_rate", 1000.0).await;
    let found = described(&mut raw).await;
    assert_eq!((found.error_code, found.error_message), (ErrorCode::NONE, None));
    let told: Vec<(Option<String>, String, f64)> = found
        .entries
        .unwrap()
        .into_iter()
        .map(|entry| {
            let name = entry.entity[0].entity_name.as_ref().map(ToString::to_string);
            (name, entry.values[0].key.to_string(), entry.values[0].value)
        })
        .collect();
    let expected =
        [(None, "consumer_byte_rate".into(), 1000.0), (Some("u".into()), "producer_byte_rate".into(), 1000.0)];
    assert_eq!(told, expected);

    let entity = |name: &str| vec![EntityData { entity_type: "user".into(), entity_name: Some(name.into()) }];
    let op = |value, remove| vec![OpData { key: "producer_byte_rate".into(), value, remove }];
    let entries = vec![
        EntryData { entity: entity("u"), ops: op(0.0, true) },
        EntryData { entity: entity("v"), ops: op(-1.0, false) },
    ];
    let dry = raw.call(&AlterClientQuotasRequest { entries: entries.clone(), validate_only: true }, 1).await;
    assert_eq!(described(&mut raw).await.entries.unwrap().len(), 2);
    let wet = raw.call(&AlterClientQuotasRequest { entries, validate_only: false }, 1).await;
    for answer in [dry, wet] {
        assert_eq!(answer.entries[0].error_code, ErrorCode::NONE);
        assert_eq!(answer.entries[1].error_message.as_deref(), Some("Quota producer_byte_rate must be greater than 0"));
    }
    assert_eq!(described(&mut raw).await.entries.unwrap().len(), 1);
}

/// The recorded answers of a real Kafka 4.3.1 to these two APIs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_refuses_is_refused_with_its_codes_and_words() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../../tests/oracle/edge-errors.json")).unwrap();
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut asked = 0;
    for case in &cases {
        let (request, error) = (&case["request"], &case["errors"][0]);
        let found = match case["api"].as_str() {
            Some("AlterClientQuotas") => {
                let entry = &request["entries"][0];
                let part = |part: &Value| EntityData {
                    entity_type: text(&part["type"]).into(),
                    entity_name: Some(text(&part["name"]).into()),
                };
                let op = &entry["ops"][0];
                let op = OpData { key: text(&op["key"]).into(), value: op["value"].as_f64().unwrap(), remove: false };
                let entity = entry["entity"].as_array().into_iter().flatten().map(part).collect();
                let entries = vec![EntryData { entity, ops: vec![op] }];
                let request = AlterClientQuotasRequest { entries, validate_only: false };
                let answer = raw.call(&request, 1).await.entries.remove(0);
                (answer.error_code, answer.error_message)
            }
            Some("DescribeClientQuotas") => {
                let component = &request["components"][0];
                // What was asked for in the second case is told by its answer alone.
                let match_type = if component["match_type"] == "ANY" { 2 } else { 9 };
                let component =
                    ComponentData { entity_type: text(&component["entity_type"]).into(), match_type, matched: None };
                let request = DescribeClientQuotasRequest { components: vec![component], strict: false };
                let answer = raw.call(&request, 1).await;
                (answer.error_code, answer.error_message)
            }
            _ => continue,
        };
        asked += 1;
        let expected = (error["code"].as_i64(), error["message"].as_str());
        assert_eq!((Some(i64::from(found.0.0)), found.1.as_deref()), expected, "{}", case["id"]);
    }
    assert_eq!(asked, 7);
}

/// Creates a topic of `partitions` in `version`: the code, and for how many milliseconds the client is told to wait.
async fn create(raw: &mut Raw, name: &str, partitions: i32, version: i16) -> (ErrorCode, i32) {
    let topic =
        CreatableTopic { name: name.into(), num_partitions: partitions, replication_factor: 1, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let answer = raw.call(&request, version).await;
    (answer.topics[0].error_code, answer.throttle_time_ms)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_too_much_is_refused_or_if_it_would_not_understand_slowed_down() {
    let windows = [("controller.quota.window.num", "1"), ("controller.quota.window.size.seconds", "1")];
    let broker = TestBroker::start_with(&windows).await;
    let mut raw = Raw::connect(broker.address()).await;
    limit(&mut raw, "user", None, "controller_mutation_rate", 0.5).await;

    let (code, told) = create(&mut raw, "overdraws", 6, 7).await;
    assert_eq!((code, told), (ErrorCode::NONE, 0), "something was left");
    let (code, told) = create(&mut raw, "refused", 1, 7).await;
    assert_eq!(code, ErrorCode::THROTTLING_QUOTA_EXCEEDED);
    assert!((8_000..=11_000).contains(&told), "six partitions at one in two seconds: {told}");

    // The connection is held back, so others ask.
    let mut old = Raw::connect(broker.address()).await;
    let (code, told) = create(&mut old, "slowed-down", 1, 5).await;
    assert!(code.is_none() && told >= 8_000, "{code:?}, {told}");
    let mut raw = Raw::connect(broker.address()).await;
    let more = CreatePartitionsTopic { name: "overdraws".into(), count: 7, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![more], timeout_ms: 10_000, validate_only: false };
    let answer = raw.call(&request, 3).await;
    assert_eq!(answer.results[0].error_code, ErrorCode::THROTTLING_QUOTA_EXCEEDED);
    assert!(answer.throttle_time_ms > 0);
    let mut raw = Raw::connect(broker.address()).await;
    let request =
        DeleteTopicsRequest { topic_names: vec!["overdraws".into()], timeout_ms: 10_000, ..Default::default() };
    let answer = raw.call(&request, 5).await;
    assert_eq!(answer.responses[0].error_code, ErrorCode::THROTTLING_QUOTA_EXCEEDED);
    assert!(answer.throttle_time_ms > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_answer_tells_who_takes_too_much_time() {
    let broker = TestBroker::start_with(&WINDOWS).await;
    let mut raw = Raw::connect(broker.address()).await;
    limit(&mut raw, "user", None, "request_percentage", 1e-6).await;
    let told = raw.call(&ApiVersionsRequest::default(), 2).await.throttle_time_ms;
    assert_eq!(told, 1000, "no longer than a window");
    let mut raw = Raw::connect(broker.address()).await;
    assert_eq!(create(&mut raw, "t", 1, 7).await, (ErrorCode::NONE, 1000));
    let mut raw = Raw::connect(broker.address()).await;
    let produced = raw.call(&produce("t", -1, batch("v")), 9).await;
    assert_eq!(produced.throttle_time_ms, 1000);
    let mut raw = Raw::connect(broker.address()).await;
    assert_eq!(raw.call(&fetch("t", 0, 0, 1), 12).await.throttle_time_ms, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_makes_connections_too_fast_has_them_closed() {
    // A window that begins with a connection allows none.
    let broker = TestBroker::start_with(&[("quota.window.num", "1")]).await;
    let mut before = Raw::connect(broker.address()).await;
    limit(&mut before, "ip", Some("127.0.0.1"), "connection_creation_rate", 1.0).await;
    let mut after = Raw::connect(broker.address()).await;
    assert_eq!(after.frame().await, None);
    before.call(&ApiVersionsRequest::default(), 0).await;
}
