//! Which metrics of a client are wanted (KIP-714).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks what to push.
    request GetTelemetrySubscriptionsRequest = GetTelemetrySubscriptions [0, flexible 0+] -> GetTelemetrySubscriptionsResponse {
        /// The client instance; zero to have an id made.
        [0+] client_instance_id: Uuid,
    }

    /// What to push, how and how often.
    response GetTelemetrySubscriptionsResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// The id that the client goes by.
        [0+] client_instance_id: Uuid,
        /// Names what is told here; pushes repeat it.
        [0+] subscription_id: i32,
        /// Ids of codecs, the preferred one first.
        [0+] accepted_compression_types: Vec<i8>,
        /// Milliseconds between pushes.
        [0+] push_interval_ms: i32,
        /// The most bytes that a push may have.
        [0+] telemetry_max_bytes: i32,
        /// Whether counters are told as what was added since the last push.
        [0+] delta_temporality: bool,
        /// Prefixes of the names of metrics; none for no metrics, `*` for all.
        [0+] requested_metrics: Vec<Str>,
    }
}
