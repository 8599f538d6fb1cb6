//! Metrics that a client tells (KIP-714).

use bytes::Bytes;
use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::message;

message! {
    /// Tells the metrics that were asked for.
    request PushTelemetryRequest = PushTelemetry [0, flexible 0+] -> PushTelemetryResponse {
        [0+] client_instance_id: Uuid,
        /// What was answered when the client asked what to push.
        [0+] subscription_id: i32,
        /// Whether it is the last push of this client.
        [0+] terminating: bool,
        /// Id of the codec of `metrics`.
        [0+] compression_type: i8,
        /// `MetricsData` of OTLP, compressed.
        [0+] metrics: Bytes,
    }

    /// What became of it.
    response PushTelemetryResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
    }
}
