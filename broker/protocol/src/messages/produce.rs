//! Appends record batches to partitions (KIP-98 for idempotence, KIP-516 for topic ids, KIP-951 for leader hints).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Records, Str, message};

message! {
    /// Asks leaders to append record batches.
    request ProduceRequest = Produce [0-13, flexible 9+] -> ProduceResponse {
        /// The transactional producer; null for any other.
        [3+, null 3+] transactional_id: Option<Str>,
        /// Who must have the batches before the answer: 0 nobody (nor is there an answer), 1 the leader, -1 all in sync.
        [0+] acks: i16,
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32,
        [0+] topic_data: Vec<TopicProduceData>,
    }

    /// An element of `topic_data` of [`ProduceRequest`].
    struct TopicProduceData {
        [0-12, ignorable] name: Str,
        [13+, ignorable] topic_id: Uuid,
        [0+] partition_data: Vec<PartitionProduceData>,
    }

    /// An element of `partition_data` of [`TopicProduceData`].
    struct PartitionProduceData {
        [0+] index: i32,
        [0+, null 0+] records: Option<Records>,
    }

    /// Where each batch was appended.
    response ProduceResponse [0-13, flexible 9+] {
        [0+] responses: Vec<TopicProduceResponse>,
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        /// Addresses of the leaders hinted at (KIP-951).
        [10+, tag 0] node_endpoints: Vec<NodeEndpoint>,
    }

    /// An element of `responses` of [`ProduceResponse`].
    struct TopicProduceResponse {
        [0-12, ignorable] name: Str,
        [13+, ignorable] topic_id: Uuid,
        [0+] partition_responses: Vec<PartitionProduceResponse>,
    }

    /// An element of `partition_responses` of [`TopicProduceResponse`].
    struct PartitionProduceResponse {
        [0+] index: i32,
        [0+] error_code: ErrorCode,
        [0+] base_offset: i64,
        /// When the broker appended, in milliseconds since the Unix epoch; -1 where the topic has create time.
        [2+, ignorable] log_append_time_ms: i64 = -1,
        /// The first offset that has not been deleted.
        [5+, ignorable] log_start_offset: i64 = -1,
        [8+, ignorable] record_errors: Vec<BatchIndexAndErrorMessage>,
        /// What a person should read; null for the standard text of the code.
        [8+, null 8+, ignorable] error_message: Option<Str>,
        /// The leader to go to instead (KIP-951).
        [10+, tag 0, ignorable] current_leader: LeaderIdAndEpoch,
    }

    /// An element of `record_errors` of [`PartitionProduceResponse`].
    struct BatchIndexAndErrorMessage {
        [8+] batch_index: i32,
        [8+, null 8+] batch_index_error_message: Option<Str>,
    }

    /// The `current_leader` of [`PartitionProduceResponse`].
    struct LeaderIdAndEpoch {
        [10+] leader_id: i32 = -1,
        /// Raised with each change of leader; -1 if not known.
        [10+] leader_epoch: i32 = -1,
    }

    /// An element of `node_endpoints` of [`ProduceResponse`].
    struct NodeEndpoint {
        [10+] node_id: i32,
        [10+] host: Str,
        [10+] port: i32,
        /// Where the broker stands; null if not known.
        [10+, null 10+] rack: Option<Str>,
    }
}
