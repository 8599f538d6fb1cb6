//! Topics page by page, with eligible leader replicas (KIP-966).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for topics from a cursor on.
    request DescribeTopicPartitionsRequest = DescribeTopicPartitions [0, flexible 0+] -> DescribeTopicPartitionsResponse {
        [0+] topics: Vec<TopicRequest>,
        [0+] response_partition_limit: i32 = 2000,
        /// The first topic and partition to answer with; null from the start.
        [0+, null 0+] cursor: Option<Cursor>,
    }

    /// An element of `topics` of [`DescribeTopicPartitionsRequest`].
    struct TopicRequest {
        [0+] name: Str,
    }

    /// The `cursor` of [`DescribeTopicPartitionsRequest`].
    struct Cursor {
        [0+] topic_name: Str,
        [0+] partition_index: i32,
    }

    /// A page of topics.
    response DescribeTopicPartitionsResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+, ignorable] throttle_time_ms: i32,
        [0+] topics: Vec<DescribeTopicPartitionsResponseTopic>,
        /// Where the next page begins; null at the end.
        [0+, null 0+] next_cursor: Option<Cursor>,
    }

    /// An element of `topics` of [`DescribeTopicPartitionsResponse`].
    struct DescribeTopicPartitionsResponseTopic {
        [0+] error_code: ErrorCode,
        [0+, null 0+] name: Option<Str> = Some(Str::default()),
        [0+, ignorable] topic_id: Uuid,
        /// Whether the cluster itself uses the topic.
        [0+, ignorable] is_internal: bool,
        [0+] partitions: Vec<DescribeTopicPartitionsResponsePartition>,
        /// Bits of the operations allowed; the least integer if not asked for.
        [0+] topic_authorized_operations: i32 = i32::MIN,
    }

    /// An element of `partitions` of [`DescribeTopicPartitionsResponseTopic`].
    struct DescribeTopicPartitionsResponsePartition {
        [0+] error_code: ErrorCode,
        [0+] partition_index: i32,
        [0+] leader_id: i32,
        /// Raised with each change of leader; -1 if not known.
        [0+, ignorable] leader_epoch: i32 = -1,
        [0+] replica_nodes: Vec<i32>,
        /// The in-sync replicas.
        [0+] isr_nodes: Vec<i32>,
        /// Replicas that may lead though they are out of sync (KIP-966).
        [0+, null 0+] eligible_leader_replicas: Option<Vec<i32>>,
        /// The last known eligible leader replicas (KIP-966).
        [0+, null 0+] last_known_elr: Option<Vec<i32>>,
        /// Replicas whose broker or log directory is down.
        [0+, ignorable] offline_replicas: Vec<i32>,
    }
}
