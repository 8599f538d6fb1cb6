//! Removes members from a classic group (KIP-345 for several).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to remove members.
    request LeaveGroupRequest = LeaveGroup [0-5, flexible 4+] -> LeaveGroupResponse {
        [0+] group_id: Str,
        /// The id that the coordinator gave the member; empty before it did.
        [0-2] member_id: Str,
        [3+] members: Vec<MemberIdentity>,
    }

    /// An element of `members` of [`LeaveGroupRequest`].
    struct MemberIdentity {
        /// The id that the coordinator gave the member; empty before it did.
        [3+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [3+, null 3+] group_instance_id: Option<Str>,
        [5+, null 5+, ignorable] reason: Option<Str>,
    }

    /// Per member, whether it was removed.
    response LeaveGroupResponse [0-5, flexible 4+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        [3+] members: Vec<MemberResponse>,
    }

    /// An element of `members` of [`LeaveGroupResponse`].
    struct MemberResponse {
        /// The id that the coordinator gave the member; empty before it did.
        [3+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [3+, null 3+] group_instance_id: Option<Str> = Some(Str::default()),
        [3+] error_code: ErrorCode,
    }
}
