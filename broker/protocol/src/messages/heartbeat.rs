//! Keeps a classic group's member alive.

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Says that a member lives.
    request HeartbeatRequest = Heartbeat [0-4, flexible 4+] -> HeartbeatResponse {
        [0+] group_id: Str,
        /// The generation of the group; -1 for none.
        [0+] generation_id: i32,
        /// The id that the coordinator gave the member; empty before it did.
        [0+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [3+, null 3+] group_instance_id: Option<Str>,
    }

    /// Whether the member is current.
    response HeartbeatResponse [0-4, flexible 4+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
    }
}
