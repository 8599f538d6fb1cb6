//! Reads record batches (KIP-227 sessions, KIP-320 epochs, KIP-392 racks, KIP-516 topic ids, KIP-951 leader hints).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Records, Str, message};

message! {
    /// Asks a leader for record batches; consumers and followers alike.
    request FetchRequest = Fetch [4-18, flexible 12+] -> FetchResponse {
        [12+, null 12+, tag 0, ignorable] cluster_id: Option<Str>,
        /// The follower that asks; -1 for a consumer.
        [0-14] replica_id: i32 = -1,
        [15+, tag 1] replica_state: ReplicaState,
        /// How long to wait for `min_bytes`, in milliseconds.
        [0+] max_wait_ms: i32,
        /// The fewest bytes worth an answer before `max_wait_ms` is over.
        [0+] min_bytes: i32,
        /// The most bytes to answer with; the first batch is returned whatever its size.
        [3+, ignorable] max_bytes: i32 = i32::MAX,
        /// 0 reads all records, 1 only those of committed transactions.
        [4+, ignorable] isolation_level: i8,
        /// The incremental fetch session (KIP-227); 0 for none.
        [7+, ignorable] session_id: i32,
        /// Which fetch of the session this is: 0 opens one, -1 is without.
        [7+, ignorable] session_epoch: i32 = -1,
        [0+] topics: Vec<FetchTopic>,
        [7+] forgotten_topics_data: Vec<ForgottenTopic>,
        [11+, ignorable] rack_id: Str,
    }

    /// The `replica_state` of [`FetchRequest`].
    struct ReplicaState {
        /// The follower that asks; -1 for a consumer.
        [15+] replica_id: i32 = -1,
        /// The broker epoch of the follower; -1 for a consumer.
        [15+] replica_epoch: i64 = -1,
    }

    /// An element of `topics` of [`FetchRequest`].
    struct FetchTopic {
        [0-12, ignorable] topic: Str,
        [13+, ignorable] topic_id: Uuid,
        [0+] partitions: Vec<FetchPartition>,
    }

    /// An element of `partitions` of [`FetchTopic`].
    struct FetchPartition {
        [0+] partition: i32,
        /// The leader epoch that the client knows, checked against the leader (KIP-320); -1 if it knows none.
        [9+, ignorable] current_leader_epoch: i32 = -1,
        [0+] fetch_offset: i64,
        /// Epoch of the last record that a follower has, by which logs are compared (KIP-595). -1 for consumers.
        [12+] last_fetched_epoch: i32 = -1,
        /// The first offset that has not been deleted.
        [5+, ignorable] log_start_offset: i64 = -1,
        /// The most bytes of this partition; the first batch of an answer is returned whatever its size.
        [0+] partition_max_bytes: i32,
        [17+, tag 0, ignorable] replica_directory_id: Uuid,
        /// The offset below which records are replicated as far as they must be.
        [18+, tag 1, ignorable] high_watermark: i64 = i64::MAX,
        /// Ottla's own: the offset below which a follower has its log on the disk; -1 if it does not say. Kafka knows no
        /// such tag and skips it.
        [17+, tag 10000, ignorable] flushed_offset: i64 = -1,
    }

    /// An element of `forgotten_topics_data` of [`FetchRequest`].
    struct ForgottenTopic {
        [7-12, ignorable] topic: Str,
        [13+, ignorable] topic_id: Uuid,
        [7+] partitions: Vec<i32>,
    }

    /// The batches, within the limits of the request.
    response FetchResponse [4-18, flexible 12+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [7+, ignorable] error_code: ErrorCode,
        /// The incremental fetch session (KIP-227); 0 for none.
        [7+] session_id: i32,
        [0+] responses: Vec<FetchableTopicResponse>,
        /// Addresses of the leaders hinted at (KIP-951).
        [16+, tag 0] node_endpoints: Vec<NodeEndpoint>,
    }

    /// An element of `responses` of [`FetchResponse`].
    struct FetchableTopicResponse {
        [0-12, ignorable] topic: Str,
        [13+, ignorable] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`FetchableTopicResponse`].
    struct PartitionData {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
        /// The offset below which records are replicated as far as they must be.
        [0+] high_watermark: i64,
        /// The offset below which every transaction is decided.
        [4+, ignorable] last_stable_offset: i64 = -1,
        /// The first offset that has not been deleted.
        [5+, ignorable] log_start_offset: i64 = -1,
        /// Where a follower must truncate, if its log does not fit the leader.
        [12+, tag 0] diverging_epoch: EpochEndOffset,
        /// The leader to go to instead (KIP-951).
        [12+, tag 1, ignorable] current_leader: LeaderIdAndEpoch,
        [12+, tag 2] snapshot_id: SnapshotId,
        /// Transactions whose records a reader of committed ones must drop.
        [4+, null 4+, ignorable] aborted_transactions: Option<Vec<AbortedTransaction>> = Some(Vec::new()),
        /// A replica nearer to the consumer (KIP-392); -1 if there is none.
        [11+] preferred_read_replica: i32 = -1,
        [0+, null 0+] records: Option<Records>,
    }

    /// The `diverging_epoch` of [`PartitionData`].
    struct EpochEndOffset {
        [12+] epoch: i32 = -1,
        /// One past the last offset of the epoch; -1 if not known.
        [12+] end_offset: i64 = -1,
    }

    /// The `current_leader` of [`PartitionData`].
    struct LeaderIdAndEpoch {
        [12+] leader_id: i32 = -1,
        /// Raised with each change of leader; -1 if not known.
        [12+] leader_epoch: i32 = -1,
    }

    /// The `snapshot_id` of [`PartitionData`].
    struct SnapshotId {
        /// One past the last offset of the epoch; -1 if not known.
        [0+] end_offset: i64 = -1,
        [0+] epoch: i32 = -1,
    }

    /// An element of `aborted_transactions` of [`PartitionData`].
    struct AbortedTransaction {
        /// The producer id; -1 for none.
        [4+] producer_id: i64,
        [4+] first_offset: i64,
    }

    /// An element of `node_endpoints` of [`FetchResponse`].
    struct NodeEndpoint {
        [16+] node_id: i32,
        [16+] host: Str,
        [16+] port: i32,
        /// Where the broker stands; null if not known.
        [16+, null 16+] rack: Option<Str>,
    }
}
