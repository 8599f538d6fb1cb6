//! Sets where an empty share group begins (KIP-932).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for new start offsets.
    request AlterShareGroupOffsetsRequest = AlterShareGroupOffsets [0, flexible 0+] -> AlterShareGroupOffsetsResponse {
        [0+] group_id: Str,
        [0+] topics: Vec<RequestTopic>,
    }

    /// An element of `topics` of [`AlterShareGroupOffsetsRequest`].
    struct RequestTopic {
        [0+] topic_name: Str,
        [0+] partitions: Vec<RequestPartition>,
    }

    /// An element of `partitions` of [`RequestTopic`].
    struct RequestPartition {
        [0+] partition_index: i32,
        /// The first offset to be consumed.
        [0+] start_offset: i64,
    }

    /// Per partition, whether the offset was set.
    response AlterShareGroupOffsetsResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        [0+] responses: Vec<ResponseTopic>,
    }

    /// An element of `responses` of [`AlterShareGroupOffsetsResponse`].
    struct ResponseTopic {
        [0+] topic_name: Str,
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<ResponsePartition>,
    }

    /// An element of `partitions` of [`ResponseTopic`].
    struct ResponsePartition {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
    }
}
