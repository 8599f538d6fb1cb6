//! Deletes empty groups (KIP-229).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to delete groups.
    request DeleteGroupsRequest = DeleteGroups [0-2, flexible 2+] -> DeleteGroupsResponse {
        [0+] groups_names: Vec<Str>,
    }

    /// Per group, whether it was deleted.
    response DeleteGroupsResponse [0-2, flexible 2+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<DeletableGroupResult>,
    }

    /// An element of `results` of [`DeleteGroupsResponse`].
    struct DeletableGroupResult {
        [0+] group_id: Str,
        [0+] error_code: ErrorCode,
    }
}
