//! The reassignments under way (KIP-455).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for reassignments.
    request ListPartitionReassignmentsRequest = ListPartitionReassignments [0, flexible 0+] -> ListPartitionReassignmentsResponse {
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32 = 60000,
        [0+, null 0+] topics: Option<Vec<ListPartitionReassignmentsTopics>>,
    }

    /// An element of `topics` of [`ListPartitionReassignmentsRequest`].
    struct ListPartitionReassignmentsTopics {
        [0+] name: Str,
        [0+] partition_indexes: Vec<i32>,
    }

    /// The reassignments.
    response ListPartitionReassignmentsResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
        [0+] topics: Vec<OngoingTopicReassignment>,
    }

    /// An element of `topics` of [`ListPartitionReassignmentsResponse`].
    struct OngoingTopicReassignment {
        [0+] name: Str,
        [0+] partitions: Vec<OngoingPartitionReassignment>,
    }

    /// An element of `partitions` of [`OngoingTopicReassignment`].
    struct OngoingPartitionReassignment {
        [0+] partition_index: i32,
        [0+] replicas: Vec<i32>,
        [0+] adding_replicas: Vec<i32>,
        [0+] removing_replicas: Vec<i32>,
    }
}
