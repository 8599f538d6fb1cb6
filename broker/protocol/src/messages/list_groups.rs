//! All groups of a broker (KIP-518 states, KIP-848 types).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the groups that a broker coordinates.
    request ListGroupsRequest = ListGroups [0-5, flexible 3+] -> ListGroupsResponse {
        [4+] states_filter: Vec<Str>,
        [5+] types_filter: Vec<Str>,
    }

    /// The groups.
    response ListGroupsResponse [0-5, flexible 3+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        [0+] groups: Vec<ListedGroup>,
    }

    /// An element of `groups` of [`ListGroupsResponse`].
    struct ListedGroup {
        [0+] group_id: Str,
        [0+] protocol_type: Str,
        [4+, ignorable] group_state: Str,
        [5+, ignorable] group_type: Str,
    }
}
