//! Hands out the assignment of a classic group's generation.

use bytes::Bytes;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the assignment; the leader brings it.
    request SyncGroupRequest = SyncGroup [0-5, flexible 4+] -> SyncGroupResponse {
        [0+] group_id: Str,
        /// The generation of the group; -1 for none.
        [0+] generation_id: i32,
        /// The id that the coordinator gave the member; empty before it did.
        [0+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [3+, null 3+] group_instance_id: Option<Str>,
        [5+, null 5+, ignorable] protocol_type: Option<Str>,
        [5+, null 5+, ignorable] protocol_name: Option<Str>,
        /// Replicas by hand; empty for the cluster to choose.
        [0+] assignments: Vec<SyncGroupRequestAssignment>,
    }

    /// An element of `assignments` of [`SyncGroupRequest`].
    struct SyncGroupRequestAssignment {
        /// The id that the coordinator gave the member; empty before it did.
        [0+] member_id: Str,
        [0+] assignment: Bytes,
    }

    /// The member's assignment.
    response SyncGroupResponse [0-5, flexible 4+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        [5+, null 5+, ignorable] protocol_type: Option<Str>,
        [5+, null 5+, ignorable] protocol_name: Option<Str>,
        [0+] assignment: Bytes,
    }
}
