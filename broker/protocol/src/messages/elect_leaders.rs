//! Elects preferred or unclean leaders (KIP-183, KIP-460).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for elections.
    request ElectLeadersRequest = ElectLeaders [0-2, flexible 2+] -> ElectLeadersResponse {
        /// 0 preferred, 1 unclean.
        [1+] election_type: i8,
        [0+, null 0+] topic_partitions: Option<Vec<TopicPartitions>> = Some(Vec::new()),
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32 = 60000,
    }

    /// An element of `topic_partitions` of [`ElectLeadersRequest`].
    struct TopicPartitions {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }

    /// Per partition, the outcome.
    response ElectLeadersResponse [0-2, flexible 2+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [1+] error_code: ErrorCode,
        [0+] replica_election_results: Vec<ReplicaElectionResult>,
    }

    /// An element of `replica_election_results` of [`ElectLeadersResponse`].
    struct ReplicaElectionResult {
        [0+] topic: Str,
        [0+] partition_result: Vec<PartitionResult>,
    }

    /// An element of `partition_result` of [`ReplicaElectionResult`].
    struct PartitionResult {
        [0+] partition_id: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
    }
}
