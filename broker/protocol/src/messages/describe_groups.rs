//! State and members of classic groups.

use bytes::Bytes;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for groups by name.
    request DescribeGroupsRequest = DescribeGroups [0-6, flexible 5+] -> DescribeGroupsResponse {
        [0+] groups: Vec<Str>,
        [3+] include_authorized_operations: bool,
    }

    /// The groups.
    response DescribeGroupsResponse [0-6, flexible 5+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [0+] groups: Vec<DescribedGroup>,
    }

    /// An element of `groups` of [`DescribeGroupsResponse`].
    struct DescribedGroup {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [6+, null 6+] error_message: Option<Str>,
        [0+] group_id: Str,
        [0+] group_state: Str,
        [0+] protocol_type: Str,
        [0+] protocol_data: Str,
        [0+] members: Vec<DescribedGroupMember>,
        /// Bits of the operations allowed; the least integer if not asked for.
        [3+] authorized_operations: i32 = i32::MIN,
    }

    /// An element of `members` of [`DescribedGroup`].
    struct DescribedGroupMember {
        /// The id that the coordinator gave the member; empty before it did.
        [0+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [4+, null 4+, ignorable] group_instance_id: Option<Str>,
        [0+] client_id: Str,
        [0+] client_host: Str,
        [0+] member_metadata: Bytes,
        [0+] member_assignment: Bytes,
    }
}
