//! Adds partitions to topics (KIP-195).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for more partitions.
    request CreatePartitionsRequest = CreatePartitions [0-3, flexible 2+] -> CreatePartitionsResponse {
        [0+] topics: Vec<CreatePartitionsTopic>,
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32,
        /// Whether to only check the request.
        [0+] validate_only: bool,
    }

    /// An element of `topics` of [`CreatePartitionsRequest`].
    struct CreatePartitionsTopic {
        [0+] name: Str,
        [0+] count: i32,
        /// Replicas by hand; empty for the cluster to choose.
        [0+, null 0+] assignments: Option<Vec<CreatePartitionsAssignment>> = Some(Vec::new()),
    }

    /// An element of `assignments` of [`CreatePartitionsTopic`].
    struct CreatePartitionsAssignment {
        [0+] broker_ids: Vec<i32>,
    }

    /// Per topic, whether they were added.
    response CreatePartitionsResponse [0-3, flexible 2+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<CreatePartitionsTopicResult>,
    }

    /// An element of `results` of [`CreatePartitionsResponse`].
    struct CreatePartitionsTopicResult {
        [0+] name: Str,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
    }
}
