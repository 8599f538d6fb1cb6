//! The transactional ids of a coordinator (KIP-664, KIP-994, KIP-1152).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for all, or for those that pass the filters.
    request ListTransactionsRequest = ListTransactions [0-2, flexible 0+] -> ListTransactionsResponse {
        /// Names of states; empty lets all pass.
        [0+] state_filters: Vec<Str>,
        /// Producer ids; empty lets all pass.
        [0+] producer_id_filters: Vec<i64>,
        /// Only transactions open for longer, in milliseconds; negative lets all pass.
        [1+] duration_filter: i64 = -1,
        /// A regular expression that the transactional id must match; null lets all pass.
        [2+, null 2+] transactional_id_pattern: Option<Str>,
    }

    /// The transactional ids.
    response ListTransactionsResponse [0-2, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// The names among the filters that are no states.
        [0+] unknown_state_filters: Vec<Str>,
        [0+] transaction_states: Vec<TransactionState>,
    }

    /// An element of `transaction_states` of [`ListTransactionsResponse`].
    struct TransactionState {
        [0+] transactional_id: Str,
        [0+] producer_id: i64,
        [0+] transaction_state: Str,
    }
}
