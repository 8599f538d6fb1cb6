//! Ends a transaction (KIP-98, KIP-890).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to commit or to abort.
    request EndTxnRequest = EndTxn [0-5, flexible 3+] -> EndTxnResponse {
        [0+] transactional_id: Str,
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        /// To commit, or to abort.
        [0+] committed: bool,
    }

    /// What the producer is from now on.
    response EndTxnResponse [0-5, flexible 3+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// The producer id; -1 for none.
        [5+, ignorable] producer_id: i64 = -1,
        /// The epoch of the producer id; -1 for none.
        [5+, ignorable] producer_epoch: i16 = -1,
    }
}
