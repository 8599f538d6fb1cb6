//! Makes the offsets of a group part of a transaction (KIP-98).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to add the partition of the offsets topic that holds the group.
    request AddOffsetsToTxnRequest = AddOffsetsToTxn [0-4, flexible 3+] -> AddOffsetsToTxnResponse {
        [0+] transactional_id: Str,
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        [0+] group_id: Str,
    }

    /// Whether it was added.
    response AddOffsetsToTxnResponse [0-4, flexible 3+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
    }
}
