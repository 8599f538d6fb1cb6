//! Deletes what an empty share group has of topics (KIP-932).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to delete the offsets of topics.
    request DeleteShareGroupOffsetsRequest = DeleteShareGroupOffsets [0, flexible 0+] -> DeleteShareGroupOffsetsResponse {
        [0+] group_id: Str,
        [0+] topics: Vec<RequestTopic>,
    }

    /// An element of `topics` of [`DeleteShareGroupOffsetsRequest`].
    struct RequestTopic {
        [0+] topic_name: Str,
    }

    /// Per topic, whether its offsets were deleted.
    response DeleteShareGroupOffsetsResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        [0+] responses: Vec<ResponseTopic>,
    }

    /// An element of `responses` of [`DeleteShareGroupOffsetsResponse`].
    struct ResponseTopic {
        [0+] topic_name: Str,
        [0+] topic_id: Uuid,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
    }
}
