//! Metrics of clients: which are wanted, and what is pushed.

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse, IncrementalAlterConfigsRequest,
    PushTelemetryRequest, incremental_alter_configs,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use super::world::{Scenario, World, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] =
    &[scenario!(GetTelemetrySubscriptions, get_telemetry_subscriptions), scenario!(PushTelemetry, push_telemetry)];

/// Has everything pushed that begins with `metrics`, every minute.
async fn want(world: &mut World, metrics: &str) {
    let config = |name: &str, value: &str| incremental_alter_configs::AlterableConfig {
        name: name.into(),
        config_operation: 0,
        value: Some(value.into()),
    };
    let resource = incremental_alter_configs::AlterConfigsResource {
        resource_type: 16,
        resource_name: "all".into(),
        configs: vec![config("metrics", metrics), config("interval.ms", "60000")],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(world.call(&request, 1).await.responses[0].error_code, ErrorCode::NONE);
    world.cluster.settled().await;
}

async fn ask(world: &mut World, version: i16, client_instance_id: Uuid) -> GetTelemetrySubscriptionsResponse {
    world.call(&GetTelemetrySubscriptionsRequest { client_instance_id }, version).await
}

async fn get_telemetry_subscriptions(world: &mut World, version: i16) {
    want(world, "a.").await;
    let first = ask(world, version, Uuid::nil()).await;
    assert_eq!(
        (first.error_code, first.push_interval_ms, first.telemetry_max_bytes),
        (ErrorCode::NONE, 60_000, 1 << 20)
    );
    assert_eq!(first.requested_metrics.iter().map(|name| &**name).collect::<Vec<_>>(), ["a."]);
    let other = ask(world, version, Uuid::nil()).await;
    assert!(first.client_instance_id != other.client_instance_id && first.subscription_id != other.subscription_id);
    let again = ask(world, version, first.client_instance_id).await;
    assert_eq!(again.error_code, ErrorCode::THROTTLING_QUOTA_EXCEEDED, "not before a minute is over");
    want(world, "b.").await;
    let changed = ask(world, version, first.client_instance_id).await;
    assert_eq!((changed.error_code, changed.client_instance_id), (ErrorCode::NONE, first.client_instance_id));
    assert_ne!(changed.subscription_id, first.subscription_id);
}

/// What the collector is sent next, with its head.
async fn received(world: &World) -> Vec<u8> {
    let (mut stream, _) = world.collector.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"the end") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "it ends early: {request:?}");
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    request
}

async fn push_telemetry(world: &mut World, version: i16) {
    want(world, "*").await;
    let offer = ask(world, 0, Uuid::nil()).await;
    let good = PushTelemetryRequest {
        client_instance_id: offer.client_instance_id,
        subscription_id: offer.subscription_id,
        terminating: false,
        compression_type: 0,
        // OTLP's MetricsData of one resource, whose schema is told last.
        metrics: Bytes::from_static(b"\x0a\x09\x1a\x07the end"),
    };
    let one = Uuid::from_u128(1);
    for (push, code) in [
        (PushTelemetryRequest { client_instance_id: one, ..good.clone() }, ErrorCode::INVALID_REQUEST),
        (good.clone(), ErrorCode::NONE),
        (good.clone(), ErrorCode::THROTTLING_QUOTA_EXCEEDED),
        (
            PushTelemetryRequest { terminating: true, subscription_id: 0, ..good.clone() },
            ErrorCode::UNKNOWN_SUBSCRIPTION_ID,
        ),
        (PushTelemetryRequest { terminating: true, ..good }, ErrorCode::INVALID_REQUEST),
    ] {
        assert_eq!(world.call(&push, version).await.error_code, code, "{push:?}");
    }
    let request = String::from_utf8_lossy(&received(world).await).into_owned();
    assert!(request.starts_with("POST /v1/metrics HTTP/1.1\r\n"), "{request}");
    let id = "client_instance_id";
    assert!(request.contains(id) && request.contains("broker_id"), "{request}");
}
