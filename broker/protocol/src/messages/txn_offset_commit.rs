//! Stores a group's offsets as part of a transaction (KIP-98, KIP-447).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Commits offsets that count once the transaction is committed.
    request TxnOffsetCommitRequest = TxnOffsetCommit [0-5, flexible 3+] -> TxnOffsetCommitResponse {
        [0+] transactional_id: Str,
        [0+] group_id: Str,
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        /// The generation of the group; -1 for commits from outside it.
        [3+] generation_id: i32 = -1,
        /// The id that the coordinator gave the member.
        [3+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [3+, null 3+] group_instance_id: Option<Str>,
        [0+] topics: Vec<TxnOffsetCommitRequestTopic>,
    }

    /// An element of `topics` of [`TxnOffsetCommitRequest`].
    struct TxnOffsetCommitRequestTopic {
        [0+] name: Str,
        [0+] partitions: Vec<TxnOffsetCommitRequestPartition>,
    }

    /// An element of `partitions` of [`TxnOffsetCommitRequestTopic`].
    struct TxnOffsetCommitRequestPartition {
        [0+] partition_index: i32,
        /// The offset to read next.
        [0+] committed_offset: i64,
        [2+, ignorable] committed_leader_epoch: i32 = -1,
        /// Text that the client wants back with the offset.
        [0+, null 0+] committed_metadata: Option<Str> = Some(Str::default()),
    }

    /// Per partition, whether the offset is stored.
    response TxnOffsetCommitResponse [0-5, flexible 3+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] topics: Vec<TxnOffsetCommitResponseTopic>,
    }

    /// An element of `topics` of [`TxnOffsetCommitResponse`].
    struct TxnOffsetCommitResponseTopic {
        [0+] name: Str,
        [0+] partitions: Vec<TxnOffsetCommitResponsePartition>,
    }

    /// An element of `partitions` of [`TxnOffsetCommitResponseTopic`].
    struct TxnOffsetCommitResponsePartition {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
    }
}
