//! PushTelemetry: metrics of a client, which go on to a collector (KIP-714).

use ottla_core::client_metrics::Push;
use ottla_protocol::messages::{PushTelemetryRequest, PushTelemetryResponse};
use ottla_records::Compression;
use tracing::debug;

use super::{Context, error};
use crate::client_metrics::{Pushed, client};

/// Answers once the metrics are taken or refused; whether they reach the collector no client is told.
pub async fn handle(context: Context, request: PushTelemetryRequest) -> PushTelemetryResponse {
    let id = request.client_instance_id;
    let codec = u8::try_from(request.compression_type).ok().and_then(|id| Compression::from_id(id).ok());
    let push = Push {
        subscription_id: request.subscription_id,
        terminating: request.terminating,
        codec_is_known: codec.is_some(),
        bytes: request.metrics.len(),
    };
    let pushed = Pushed { codec: codec.unwrap_or_default(), metrics: request.metrics };
    let client = client(&context.peer, context.client_name(), id);
    let outcome = context.broker.client_metrics.push(&context.broker.image(), id, client, push, &pushed);
    let error_code = outcome.map_or_else(
        |refused| {
            debug!(client = %context.client_name(), address = %context.peer.address, %refused, "metrics are not taken");
            error::of_push(&refused)
        },
        |()| ottla_protocol::ErrorCode::NONE,
    );
    PushTelemetryResponse { error_code, ..PushTelemetryResponse::default() }
}
