//! Producers that have written to partitions lately (KIP-664).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the producers of partitions.
    request DescribeProducersRequest = DescribeProducers [0, flexible 0+] -> DescribeProducersResponse {
        [0+] topics: Vec<TopicRequest>,
    }

    /// An element of `topics` of [`DescribeProducersRequest`].
    struct TopicRequest {
        [0+] name: Str,
        [0+] partition_indexes: Vec<i32>,
    }

    /// The producers.
    response DescribeProducersResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] topics: Vec<TopicResponse>,
    }

    /// An element of `topics` of [`DescribeProducersResponse`].
    struct TopicResponse {
        [0+] name: Str,
        [0+] partitions: Vec<PartitionResponse>,
    }

    /// An element of `partitions` of [`TopicResponse`].
    struct PartitionResponse {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        [0+] active_producers: Vec<ProducerState>,
    }

    /// An element of `active_producers` of [`PartitionResponse`].
    struct ProducerState {
        /// The producer id; -1 for none.
        [0+] producer_id: i64,
        /// The epoch of the producer id; -1 for none.
        [0+] producer_epoch: i32,
        [0+] last_sequence: i32 = -1,
        [0+] last_timestamp: i64 = -1,
        [0+] coordinator_epoch: i32,
        [0+] current_txn_start_offset: i64 = -1,
    }
}
