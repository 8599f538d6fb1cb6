//! GetTelemetrySubscriptions: which metrics a client is to push, and how often (KIP-714).

use ottla_core::client_metrics::Offer;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};
use ottla_records::Compression;
use uuid::Uuid;

use super::{Context, error};
use crate::client_metrics::client;

/// The codecs that pushes may come in besides none, the preferred one first, as Kafka has them.
const CODECS: [Compression; 4] = [Compression::Zstd, Compression::Lz4, Compression::Gzip, Compression::Snappy];

/// Answers by the subscriptions of the image. A client without an id gets one.
pub async fn handle(context: Context, request: GetTelemetrySubscriptionsRequest) -> GetTelemetrySubscriptionsResponse {
    let id = if request.client_instance_id.is_nil() { Uuid::new_v4() } else { request.client_instance_id };
    let client_metrics = &context.broker.client_metrics;
    let client = client(&context.peer, context.client_name(), id);
    match client_metrics.ask(&context.broker.image(), id, client) {
        Ok(offer) => response(id, offer, client_metrics.max_bytes()),
        Err(refusal) => GetTelemetrySubscriptionsResponse {
            error_code: error::of_client_metrics(refusal),
            ..GetTelemetrySubscriptionsResponse::default()
        },
    }
}

fn response(id: Uuid, offer: Offer, max_bytes: usize) -> GetTelemetrySubscriptionsResponse {
    GetTelemetrySubscriptionsResponse {
        client_instance_id: id,
        subscription_id: offer.subscription_id,
        accepted_compression_types: CODECS.map(|codec| codec.id().cast_signed()).to_vec(),
        push_interval_ms: i32::try_from(offer.push_interval.as_millis()).unwrap_or(i32::MAX),
        telemetry_max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
        delta_temporality: true,
        requested_metrics: offer.metrics.into_iter().map(Str::from).collect(),
        ..GetTelemetrySubscriptionsResponse::default()
    }
}
