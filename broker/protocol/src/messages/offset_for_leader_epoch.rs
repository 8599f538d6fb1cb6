//! Finds where a leader epoch ends (KIP-101, KIP-320).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the end offsets of epochs.
    request OffsetForLeaderEpochRequest = OffsetForLeaderEpoch [2-4, flexible 4+] -> OffsetForLeaderEpochResponse {
        /// The follower that asks; -1 for a consumer.
        [3+, ignorable] replica_id: i32 = -2,
        [0+] topics: Vec<OffsetForLeaderTopic>,
    }

    /// An element of `topics` of [`OffsetForLeaderEpochRequest`].
    struct OffsetForLeaderTopic {
        [0+] topic: Str,
        [0+] partitions: Vec<OffsetForLeaderPartition>,
    }

    /// An element of `partitions` of [`OffsetForLeaderTopic`].
    struct OffsetForLeaderPartition {
        [0+] partition: i32,
        /// The leader epoch that the client knows, checked against the leader (KIP-320); -1 if it knows none.
        [2+, ignorable] current_leader_epoch: i32 = -1,
        /// Raised with each change of leader; -1 if not known.
        [0+] leader_epoch: i32,
    }

    /// The end offsets.
    response OffsetForLeaderEpochResponse [2-4, flexible 4+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [2+, ignorable] throttle_time_ms: i32,
        [0+] topics: Vec<OffsetForLeaderTopicResult>,
    }

    /// An element of `topics` of [`OffsetForLeaderEpochResponse`].
    struct OffsetForLeaderTopicResult {
        [0+] topic: Str,
        [0+] partitions: Vec<EpochEndOffset>,
    }

    /// An element of `partitions` of [`OffsetForLeaderTopicResult`].
    struct EpochEndOffset {
        [0+] error_code: ErrorCode,
        [0+] partition: i32,
        /// Raised with each change of leader; -1 if not known.
        [1+, ignorable] leader_epoch: i32 = -1,
        /// One past the last offset of the epoch; -1 if not known.
        [0+] end_offset: i64 = -1,
    }
}
