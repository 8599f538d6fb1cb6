//! Moves replicas between brokers (KIP-455).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to begin or cancel reassignments.
    request AlterPartitionReassignmentsRequest = AlterPartitionReassignments [0-1, flexible 0+] -> AlterPartitionReassignmentsResponse {
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32 = 60000,
        [1+] allow_replication_factor_change: bool = true,
        [0+] topics: Vec<ReassignableTopic>,
    }

    /// An element of `topics` of [`AlterPartitionReassignmentsRequest`].
    struct ReassignableTopic {
        [0+] name: Str,
        [0+] partitions: Vec<ReassignablePartition>,
    }

    /// An element of `partitions` of [`ReassignableTopic`].
    struct ReassignablePartition {
        [0+] partition_index: i32,
        [0+, null 0+] replicas: Option<Vec<i32>>,
    }

    /// Per partition, whether it was accepted.
    response AlterPartitionReassignmentsResponse [0-1, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [1+, ignorable] allow_replication_factor_change: bool = true,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
        [0+] responses: Vec<ReassignableTopicResponse>,
    }

    /// An element of `responses` of [`AlterPartitionReassignmentsResponse`].
    struct ReassignableTopicResponse {
        [0+] name: Str,
        [0+] partitions: Vec<ReassignablePartitionResponse>,
    }

    /// An element of `partitions` of [`ReassignableTopicResponse`].
    struct ReassignablePartitionResponse {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
    }
}
