//! Stores a group's offsets.

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Commits offsets of a group.
    request OffsetCommitRequest = OffsetCommit [2-10, flexible 8+] -> OffsetCommitResponse {
        [0+] group_id: Str,
        /// The generation (classic) or member epoch (KIP-848); -1 for commits from outside a group.
        [1+, ignorable] generation_id_or_member_epoch: i32 = -1,
        /// The id that the coordinator gave the member; empty before it did.
        [1+, ignorable] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [7+, null 7+] group_instance_id: Option<Str>,
        [2-4, ignorable] retention_time_ms: i64 = -1,
        [0+] topics: Vec<OffsetCommitRequestTopic>,
    }

    /// An element of `topics` of [`OffsetCommitRequest`].
    struct OffsetCommitRequestTopic {
        [0-9, ignorable] name: Str,
        [10+, ignorable] topic_id: Uuid,
        [0+] partitions: Vec<OffsetCommitRequestPartition>,
    }

    /// An element of `partitions` of [`OffsetCommitRequestTopic`].
    struct OffsetCommitRequestPartition {
        [0+] partition_index: i32,
        /// The offset to read next; -1 if there is none.
        [0+] committed_offset: i64,
        [6+, ignorable] committed_leader_epoch: i32 = -1,
        /// Text that the client wants back with the offset.
        [0+, null 0+] committed_metadata: Option<Str> = Some(Str::default()),
    }

    /// Per partition, whether the offset is stored.
    response OffsetCommitResponse [2-10, flexible 8+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [3+, ignorable] throttle_time_ms: i32,
        [0+] topics: Vec<OffsetCommitResponseTopic>,
    }

    /// An element of `topics` of [`OffsetCommitResponse`].
    struct OffsetCommitResponseTopic {
        [0-9, ignorable] name: Str,
        [10+, ignorable] topic_id: Uuid,
        [0+] partitions: Vec<OffsetCommitResponsePartition>,
    }

    /// An element of `partitions` of [`OffsetCommitResponseTopic`].
    struct OffsetCommitResponsePartition {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
    }
}
