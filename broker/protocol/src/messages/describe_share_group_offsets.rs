//! Where share groups stand in the partitions they consume (KIP-932, KIP-1226 for the lag).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the start offsets of groups.
    request DescribeShareGroupOffsetsRequest = DescribeShareGroupOffsets [0-1, flexible 0+] -> DescribeShareGroupOffsetsResponse {
        [0+] groups: Vec<RequestGroup>,
    }

    /// An element of `groups` of [`DescribeShareGroupOffsetsRequest`].
    struct RequestGroup {
        [0+] group_id: Str,
        /// Null for all partitions of the group.
        [0+, null 0+] topics: Option<Vec<RequestTopic>>,
    }

    /// An element of `topics` of [`RequestGroup`].
    struct RequestTopic {
        [0+] topic_name: Str,
        [0+] partitions: Vec<i32>,
    }

    /// The start offsets, group by group.
    response DescribeShareGroupOffsetsResponse [0-1, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] groups: Vec<ResponseGroup>,
    }

    /// An element of `groups` of [`DescribeShareGroupOffsetsResponse`].
    struct ResponseGroup {
        [0+] group_id: Str,
        [0+] topics: Vec<ResponseTopic>,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
    }

    /// An element of `topics` of [`ResponseGroup`].
    struct ResponseTopic {
        [0+] topic_name: Str,
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<ResponsePartition>,
    }

    /// An element of `partitions` of [`ResponseTopic`].
    struct ResponsePartition {
        [0+] partition_index: i32,
        /// The first offset that is not consumed; -1 if the group has not begun.
        [0+] start_offset: i64,
        [0+] leader_epoch: i32,
        /// How many offsets are still to be consumed; -1 if not known.
        [1+, ignorable] lag: i64 = -1,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
    }
}
