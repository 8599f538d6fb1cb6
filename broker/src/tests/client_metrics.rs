//! Metrics of clients (KIP-714), from the subscription to the collector.

use axum::http::StatusCode;
use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::describe_configs::DescribeConfigsResource;
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{
    ApiVersionsRequest, DescribeConfigsRequest, GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest, PushTelemetryRequest,
};
use ottla_records::Compression;
use serde_json::Value;
use uuid::Uuid;

use super::raw::Raw;
use crate::testing::{TestBroker, collector};

const COLLECTOR: &str = "ottla.client.metrics.collector";
const CLIENT_METRICS: i8 = 16;

/// OTLP's `MetricsData` with one empty resource.
const METRICS: &[u8] = b"\x0a\x00";

/// Sets or unsets (without a value) a key of a subscription; code and message of the answer.
async fn configure(raw: &mut Raw, name: &'static str, configs: &[(&str, Option<&str>)]) -> (ErrorCode, Option<Str>) {
    let config = |(name, value): &(&str, Option<&str>)| AlterableConfig {
        name: (*name).into(),
        config_operation: i8::from(value.is_none()),
        value: value.map(Into::into),
    };
    let configs = configs.iter().map(config).collect();
    let resource = AlterConfigsResource { resource_type: CLIENT_METRICS, resource_name: name.into(), configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer = raw.call(&request, 1).await.responses.remove(0);
    (answer.error_code, answer.error_message)
}

async fn ask(raw: &mut Raw, id: Uuid) -> GetTelemetrySubscriptionsResponse {
    raw.call(&GetTelemetrySubscriptionsRequest { client_instance_id: id }, 0).await
}

/// The push that answers `offer`, packed by a codec.
fn push(offer: &GetTelemetrySubscriptionsResponse, codec: Compression, metrics: &[u8]) -> PushTelemetryRequest {
    PushTelemetryRequest {
        client_instance_id: offer.client_instance_id,
        subscription_id: offer.subscription_id,
        terminating: true,
        compression_type: codec.id().cast_signed(),
        metrics: codec.compress(metrics).unwrap().into(),
    }
}

fn contains(bytes: &Bytes, text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn advertised(raw: &mut Raw) -> Vec<i16> {
    let request = ApiVersionsRequest { client_software_name: "ours".into(), client_software_version: "1.2".into() };
    let keys = raw.call(&request, 4).await.api_keys.into_iter().map(|api| api.api_key);
    keys.filter(|key| matches!(key, 71 | 72)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_pushes_reaches_the_collector_with_its_labels() {
    let (address, mut received) = collector(StatusCode::OK).await;
    let broker = TestBroker::start_with(&[(COLLECTOR, &address), ("node.id", "6")]).await;
    let mut raw = Raw::connect(broker.address()).await;
    assert_eq!(advertised(&mut raw).await, [71, 72]);
    let wanted = [("metrics", Some("a.,b.")), ("match", Some("client_software_name=ours"))];
    assert_eq!(configure(&mut raw, "ours", &wanted).await, (ErrorCode::NONE, None));
    for codec in Compression::ALL {
        let offer = ask(&mut raw, Uuid::nil()).await;
        assert_eq!(offer.requested_metrics, ["a.", "b."].map(Str::from));
        assert_eq!(raw.call(&push(&offer, codec, METRICS), 0).await.error_code, ErrorCode::NONE, "{codec:?}");
        let (kind, body) = received.recv().await.unwrap();
        assert_eq!(kind, "application/x-protobuf");
        let id = ottla_storage::id_text(offer.client_instance_id);
        let port = raw.stream.local_addr().unwrap().port().to_string();
        for text in ["client_instance_id", &id, "client_software_name", "ours", "1.2", "127.0.0.1", &port, "broker_id"]
        {
            assert!(contains(&body, text), "{text}: {body:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_cannot_be_handed_on_are_refused() {
    let (address, _received) = collector(StatusCode::OK).await;
    let broker = TestBroker::start_with(&[(COLLECTOR, &address), ("telemetry.max.bytes", "1000")]).await;
    let mut raw = Raw::connect(broker.address()).await;
    let bomb = vec![0; 1001];
    for (codec, metrics, code) in [
        (Compression::None, &b"\x0a\x05abc"[..], ErrorCode::INVALID_RECORD),
        (Compression::Zstd, &bomb, ErrorCode::TELEMETRY_TOO_LARGE),
        (Compression::None, &bomb, ErrorCode::TELEMETRY_TOO_LARGE),
    ] {
        let offer = ask(&mut raw, Uuid::nil()).await;
        assert_eq!(offer.telemetry_max_bytes, 1000);
        assert_eq!(raw.call(&push(&offer, codec, metrics), 0).await.error_code, code, "{codec:?}");
    }
    let offer = ask(&mut raw, Uuid::nil()).await;
    let packed_otherwise =
        PushTelemetryRequest { metrics: Bytes::from_static(b"no gzip"), ..push(&offer, Compression::Gzip, METRICS) };
    assert_eq!(raw.call(&packed_otherwise, 0).await.error_code, ErrorCode::INVALID_RECORD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_clients_are_not_told_and_answered_as_a_real_kafka_answers() {
    let cases: Value = serde_json::from_str(include_str!("../../../tests/oracle/edge-errors.json")).unwrap();
    let find = |id: &str| cases.as_array().unwrap().iter().find(|case| case["id"] == id).unwrap()["response"].clone();
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    assert!(advertised(&mut raw).await.is_empty());

    let (offer, expected) = (ask(&mut raw, Uuid::nil()).await, find("GetTelemetrySubscriptions-01"));
    assert_eq!(offer.error_code.0, expected["error_code"]);
    assert_eq!(serde_json::json!(offer.accepted_compression_types), expected["accepted_compression_types"]);
    assert_eq!(offer.push_interval_ms, expected["push_interval_millis"]);
    assert_eq!(offer.telemetry_max_bytes, expected["telemetry_max_bytes"]);
    assert_eq!(offer.delta_temporality, expected["delta_temporality"]);
    assert!(offer.requested_metrics.is_empty() && !offer.client_instance_id.is_nil());

    let stranger = PushTelemetryRequest {
        client_instance_id: Uuid::new_v4(),
        subscription_id: 5,
        metrics: Bytes::from_static(b"\x01"),
        ..PushTelemetryRequest::default()
    };
    let code = raw.call(&stranger, 0).await.error_code;
    assert_eq!(code.0, find("PushTelemetry-01")["error_code"]);
    // What goes nowhere is not looked into.
    let own = PushTelemetryRequest { metrics: Bytes::from_static(b"\x01"), ..push(&offer, Compression::None, b"") };
    assert_eq!(raw.call(&own, 0).await.error_code, ErrorCode::NONE);
}

/// Name, value and source of each key of the subscription.
async fn describe(raw: &mut Raw, name: &str) -> Result<Vec<(Str, Option<Str>, i8)>, ErrorCode> {
    let resource =
        DescribeConfigsResource { resource_type: CLIENT_METRICS, resource_name: name.into(), configuration_keys: None };
    let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    let result = raw.call(&request, 4).await.results.remove(0);
    let configs = result.configs.into_iter().map(|config| (config.name, config.value, config.config_source));
    if result.error_code.is_error() { Err(result.error_code) } else { Ok(configs.collect()) }
}

async fn list(raw: &mut Raw) -> Vec<Str> {
    let answer = raw.call(&ListConfigResourcesRequest::default(), 0).await;
    answer.config_resources.into_iter().map(|resource| resource.resource_name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_configured_described_listed_and_gone_with_their_last_key() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    let (default, own) = (5, 7);
    let entry = |name: &str, value: &str, source| (Str::from(name), Some(Str::from(value)), source);
    let (every, all) = (entry("match", "", default), entry("metrics", "", default));
    let unset = vec![entry("interval.ms", "300000", default), every.clone(), all.clone()];
    assert_eq!(describe(&mut raw, "s").await, Ok(unset.clone()));
    assert_eq!(describe(&mut raw, "").await, Err(ErrorCode::INVALID_REQUEST));

    assert_eq!(configure(&mut raw, "s", &[("interval.ms", Some("100"))]).await.0, ErrorCode::NONE);
    assert_eq!(describe(&mut raw, "s").await, Ok(vec![entry("interval.ms", "100", own), every, all]));
    assert_eq!(list(&mut raw).await, ["s"]);
    for (name, key, value, code) in [
        ("", "metrics", "*", ErrorCode::INVALID_REQUEST),
        ("s", "colour", "blue", ErrorCode::INVALID_REQUEST),
        ("s", "interval.ms", "99", ErrorCode::INVALID_REQUEST),
        ("s", "interval.ms", "soon", ErrorCode::INVALID_CONFIG),
        ("s", "match", "colour=blue", ErrorCode::INVALID_CONFIG),
    ] {
        assert_eq!(configure(&mut raw, name, &[(key, Some(value))]).await.0, code, "{key}={value}");
    }
    assert_eq!(configure(&mut raw, "s", &[("interval.ms", None)]).await.0, ErrorCode::NONE);
    assert_eq!((describe(&mut raw, "s").await, list(&mut raw).await), (Ok(unset), vec![]));
}
