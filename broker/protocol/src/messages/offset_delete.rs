//! Deletes committed offsets (KIP-496).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to delete a group's offsets.
    request OffsetDeleteRequest = OffsetDelete [0, flexible never] -> OffsetDeleteResponse {
        [0+] group_id: Str,
        [0+] topics: Vec<OffsetDeleteRequestTopic>,
    }

    /// An element of `topics` of [`OffsetDeleteRequest`].
    struct OffsetDeleteRequestTopic {
        [0+] name: Str,
        [0+] partitions: Vec<OffsetDeleteRequestPartition>,
    }

    /// An element of `partitions` of [`OffsetDeleteRequestTopic`].
    struct OffsetDeleteRequestPartition {
        [0+] partition_index: i32,
    }

    /// Per partition, whether the offset was deleted.
    response OffsetDeleteResponse [0, flexible never] {
        [0+] error_code: ErrorCode,
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+, ignorable] throttle_time_ms: i32,
        [0+] topics: Vec<OffsetDeleteResponseTopic>,
    }

    /// An element of `topics` of [`OffsetDeleteResponse`].
    struct OffsetDeleteResponseTopic {
        [0+] name: Str,
        [0+] partitions: Vec<OffsetDeleteResponsePartition>,
    }

    /// An element of `partitions` of [`OffsetDeleteResponseTopic`].
    struct OffsetDeleteResponsePartition {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
    }
}
