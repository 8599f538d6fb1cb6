//! Reads a group's committed offsets (KIP-709 for several groups).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for committed offsets.
    request OffsetFetchRequest = OffsetFetch [1-10, flexible 6+] -> OffsetFetchResponse {
        [0-7] group_id: Str,
        [0-7, null 2-7] topics: Option<Vec<OffsetFetchRequestTopic>> = Some(Vec::new()),
        [8+] groups: Vec<OffsetFetchRequestGroup>,
        /// Whether to refuse while a transaction has pending offsets (KIP-447).
        [7+] require_stable: bool,
    }

    /// An element of `topics` of [`OffsetFetchRequest`].
    struct OffsetFetchRequestTopic {
        [0-7] name: Str,
        [0-7] partition_indexes: Vec<i32>,
    }

    /// An element of `groups` of [`OffsetFetchRequest`].
    struct OffsetFetchRequestGroup {
        [8+] group_id: Str,
        /// The id that the coordinator gave the member; empty before it did.
        [9+, null 9+, ignorable] member_id: Option<Str>,
        [9+, ignorable] member_epoch: i32 = -1,
        [8+, null 8+] topics: Option<Vec<OffsetFetchRequestTopics>> = Some(Vec::new()),
    }

    /// An element of `topics` of [`OffsetFetchRequestGroup`].
    struct OffsetFetchRequestTopics {
        [8-9, ignorable] name: Str,
        [10+, ignorable] topic_id: Uuid,
        [8+] partition_indexes: Vec<i32>,
    }

    /// The committed offsets; -1 where there is none.
    response OffsetFetchResponse [1-10, flexible 6+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [3+, ignorable] throttle_time_ms: i32,
        [0-7] topics: Vec<OffsetFetchResponseTopic>,
        [2-7, ignorable] error_code: ErrorCode,
        [8+] groups: Vec<OffsetFetchResponseGroup>,
    }

    /// An element of `topics` of [`OffsetFetchResponse`].
    struct OffsetFetchResponseTopic {
        [0-7] name: Str,
        [0-7] partitions: Vec<OffsetFetchResponsePartition>,
    }

    /// An element of `partitions` of [`OffsetFetchResponseTopic`].
    struct OffsetFetchResponsePartition {
        [0-7] partition_index: i32,
        /// The offset to read next; -1 if there is none.
        [0-7] committed_offset: i64,
        [5-7, ignorable] committed_leader_epoch: i32 = -1,
        [0-7, null 0-7] metadata: Option<Str> = Some(Str::default()),
        [0-7] error_code: ErrorCode,
    }

    /// An element of `groups` of [`OffsetFetchResponse`].
    struct OffsetFetchResponseGroup {
        [8+] group_id: Str,
        [8+] topics: Vec<OffsetFetchResponseTopics>,
        [8+] error_code: ErrorCode,
    }

    /// An element of `topics` of [`OffsetFetchResponseGroup`].
    struct OffsetFetchResponseTopics {
        [8-9, ignorable] name: Str,
        [10+, ignorable] topic_id: Uuid,
        [8+] partitions: Vec<OffsetFetchResponsePartitions>,
    }

    /// An element of `partitions` of [`OffsetFetchResponseTopics`].
    struct OffsetFetchResponsePartitions {
        [8+] partition_index: i32,
        /// The offset to read next; -1 if there is none.
        [8+] committed_offset: i64,
        [8+, ignorable] committed_leader_epoch: i32 = -1,
        [8+, null 8+] metadata: Option<Str> = Some(Str::default()),
        [8+] error_code: ErrorCode,
    }
}
