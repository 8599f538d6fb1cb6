//! Joins a classic group's next generation (KIP-345 static members, KIP-394 member ids).

use bytes::Bytes;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to be a member of the next generation.
    request JoinGroupRequest = JoinGroup [0-9, flexible 6+] -> JoinGroupResponse {
        [0+] group_id: Str,
        /// How long a member may be silent, in milliseconds.
        [0+] session_timeout_ms: i32,
        /// How long members may take to join again, in milliseconds; -1 means the session time-out.
        [1+, ignorable] rebalance_timeout_ms: i32 = -1,
        /// The id that the coordinator gave the member; empty before it did.
        [0+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [5+, null 5+] group_instance_id: Option<Str>,
        [0+] protocol_type: Str,
        [0+] protocols: Vec<JoinGroupRequestProtocol>,
        [8+, null 8+, ignorable] reason: Option<Str>,
    }

    /// An element of `protocols` of [`JoinGroupRequest`].
    struct JoinGroupRequestProtocol {
        [0+] name: Str,
        [0+] metadata: Bytes,
    }

    /// The generation; its leader also gets the members.
    response JoinGroupResponse [0-9, flexible 6+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [2+, ignorable] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// The generation of the group; -1 for none.
        [0+] generation_id: i32 = -1,
        [7+, null 7+, ignorable] protocol_type: Option<Str>,
        [0+, null 7+] protocol_name: Option<Str> = Some(Str::default()),
        [0+] leader: Str,
        /// Whether the leader has nothing to assign (KIP-814).
        [9+] skip_assignment: bool,
        /// The id that the coordinator gave the member; empty before it did.
        [0+] member_id: Str,
        [0+] members: Vec<JoinGroupResponseMember>,
    }

    /// An element of `members` of [`JoinGroupResponse`].
    struct JoinGroupResponseMember {
        /// The id that the coordinator gave the member; empty before it did.
        [0+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [5+, null 5+, ignorable] group_instance_id: Option<Str>,
        [0+] metadata: Bytes,
    }
}
