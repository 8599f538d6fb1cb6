//! Reads record batches (KIP-227 sessions, KIP-320 epochs, KIP-392 racks, KIP-516 topic ids, KIP-951 leader hints).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Records, Str, message};

message! {
    /// Asks a leader for record batches; consumers and followers alike.
    request FetchRequest = Fetch [4-18, flexible 12+] -> FetchResponse {
        [12+, null 12+, tag 0, ignorable] cluster_id: Option<Str>,
        [0-14] replica_id: i32 = -1,
        [15+, tag 1] replica_state: ReplicaState,
        [0+] max_wait_ms: i32,
        [0+] min_bytes: i32,
        [3+, ignorable] max_bytes: i32 = i32::MAX,
        [4+, ignorable] isolation_level: i8,
        [7+, ignorable] session_id: i32,
        [7+, ignorable] session_epoch: i32 = -1,
        [0+] topics: Vec<FetchTopic>,
        [7+] forgotten_topics_data: Vec<ForgottenTopic>,
        [11+, ignorable] rack_id: Str,
    }

    /// The `replica_state` of [`FetchRequest`].
    struct ReplicaState {
        [15+] replica_id: i32 = -1,
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
        [9+, ignorable] current_leader_epoch: i32 = -1,
        [0+] fetch_offset: i64,
        [12+] last_fetched_epoch: i32 = -1,
        [5+, ignorable] log_start_offset: i64 = -1,
        [0+] partition_max_bytes: i32,
        [17+, tag 0, ignorable] replica_directory_id: Uuid,
        [18+, tag 1, ignorable] high_watermark: i64 = i64::MAX,
    }

    /// An element of `forgotten_topics_data` of [`FetchRequest`].
    struct ForgottenTopic {
        [7-12, ignorable] topic: Str,
        [13+, ignorable] topic_id: Uuid,
        [7+] partitions: Vec<i32>,
    }

    /// The batches, within the limits of the request.
    response FetchResponse [4-18, flexible 12+] {
        [1+, ignorable] throttle_time_ms: i32,
        [7+, ignorable] error_code: ErrorCode,
        [7+] session_id: i32,
        [0+] responses: Vec<FetchableTopicResponse>,
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
        [0+] high_watermark: i64,
        [4+, ignorable] last_stable_offset: i64 = -1,
        [5+, ignorable] log_start_offset: i64 = -1,
        [12+, tag 0] diverging_epoch: EpochEndOffset,
        [12+, tag 1] current_leader: LeaderIdAndEpoch,
        [12+, tag 2] snapshot_id: SnapshotId,
        [4+, null 4+, ignorable] aborted_transactions: Option<Vec<AbortedTransaction>> = Some(Vec::new()),
        [11+] preferred_read_replica: i32 = -1,
        [0+, null 0+] records: Option<Records>,
    }

    /// The `diverging_epoch` of [`PartitionData`].
    struct EpochEndOffset {
        [12+] epoch: i32 = -1,
        [12+] end_offset: i64 = -1,
    }

    /// The `current_leader` of [`PartitionData`].
    struct LeaderIdAndEpoch {
        [12+] leader_id: i32 = -1,
        [12+] leader_epoch: i32 = -1,
    }

    /// The `snapshot_id` of [`PartitionData`].
    struct SnapshotId {
        [0+] end_offset: i64 = -1,
        [0+] epoch: i32 = -1,
    }

    /// An element of `aborted_transactions` of [`PartitionData`].
    struct AbortedTransaction {
        [4+] producer_id: i64,
        [4+] first_offset: i64,
    }

    /// An element of `node_endpoints` of [`FetchResponse`].
    struct NodeEndpoint {
        [16+] node_id: i32,
        [16+] host: Str,
        [16+] port: i32,
        [16+, null 16+] rack: Option<Str>,
    }
}
