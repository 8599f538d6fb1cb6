//! State of the metadata quorum (KIP-595, KIP-836, KIP-853).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the state of the quorum.
    request DescribeQuorumRequest = DescribeQuorum [0-2, flexible 0+] -> DescribeQuorumResponse {
        [0+] topics: Vec<TopicData>,
    }

    /// An element of `topics` of [`DescribeQuorumRequest`].
    struct TopicData {
        [0+] topic_name: Str,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`TopicData`].
    struct PartitionData {
        [0+] partition_index: i32,
    }

    /// Voters and observers.
    response DescribeQuorumResponse [0-2, flexible 0+] {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [2+, null 2+, ignorable] error_message: Option<Str> = Some(Str::default()),
        [0+] topics: Vec<ResponseTopicData>,
        [2+] nodes: Vec<Node>,
    }

    /// An element of `topics` of [`DescribeQuorumResponse`].
    struct ResponseTopicData {
        [0+] topic_name: Str,
        [0+] partitions: Vec<ResponsePartitionData>,
    }

    /// An element of `partitions` of [`ResponseTopicData`].
    struct ResponsePartitionData {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [2+, null 2+, ignorable] error_message: Option<Str> = Some(Str::default()),
        [0+] leader_id: i32,
        /// Raised with each change of leader; -1 if not known.
        [0+] leader_epoch: i32,
        /// The offset below which records are replicated as far as they must be.
        [0+] high_watermark: i64,
        [0+] current_voters: Vec<ReplicaState>,
        [0+] observers: Vec<ReplicaState>,
    }

    /// An element of `current_voters` of [`ResponsePartitionData`].
    struct ReplicaState {
        /// The follower that asks; -1 for a consumer.
        [0+] replica_id: i32,
        [2+] replica_directory_id: Uuid,
        [0+] log_end_offset: i64,
        [1+, ignorable] last_fetch_timestamp: i64 = -1,
        [1+, ignorable] last_caught_up_timestamp: i64 = -1,
    }

    /// An element of `nodes` of [`DescribeQuorumResponse`].
    struct Node {
        [2+] node_id: i32,
        [2+] listeners: Vec<Listener>,
    }

    /// An element of `listeners` of [`Node`].
    struct Listener {
        [2+] name: Str,
        [2+] host: Str,
        [2+] port: u16,
    }
}
