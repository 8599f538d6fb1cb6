//! Finds offsets by timestamp, or the ends of a log (KIP-79, KIP-734, KIP-1005).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for an offset per partition.
    request ListOffsetsRequest = ListOffsets [1-11, flexible 6+] -> ListOffsetsResponse {
        /// The follower that asks; -1 for a consumer.
        [0+] replica_id: i32,
        /// 0 reads all records, 1 only those of committed transactions.
        [2+] isolation_level: i8,
        [0+] topics: Vec<ListOffsetsTopic>,
        /// How long the broker may take, in milliseconds.
        [10+, ignorable] timeout_ms: i32,
    }

    /// An element of `topics` of [`ListOffsetsRequest`].
    struct ListOffsetsTopic {
        [0+] name: Str,
        [0+] partitions: Vec<ListOffsetsPartition>,
    }

    /// An element of `partitions` of [`ListOffsetsTopic`].
    struct ListOffsetsPartition {
        [0+] partition_index: i32,
        /// The leader epoch that the client knows, checked against the leader (KIP-320); -1 if it knows none.
        [4+, ignorable] current_leader_epoch: i32 = -1,
        /// Milliseconds since the Unix epoch, or one of the negative marks for the ends of the log.
        [0+] timestamp: i64,
    }

    /// The offsets found.
    response ListOffsetsResponse [1-11, flexible 6+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [2+, ignorable] throttle_time_ms: i32,
        [0+] topics: Vec<ListOffsetsTopicResponse>,
    }

    /// An element of `topics` of [`ListOffsetsResponse`].
    struct ListOffsetsTopicResponse {
        [0+] name: Str,
        [0+] partitions: Vec<ListOffsetsPartitionResponse>,
    }

    /// An element of `partitions` of [`ListOffsetsTopicResponse`].
    struct ListOffsetsPartitionResponse {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
        /// Milliseconds since the Unix epoch, or one of the negative marks for the ends of the log.
        [1+] timestamp: i64 = -1,
        [1+] offset: i64 = -1,
        /// Raised with each change of leader; -1 if not known.
        [4+] leader_epoch: i32 = -1,
    }
}
