//! What the coordinator knows of transactions (KIP-664).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for transactions by their ids.
    request DescribeTransactionsRequest = DescribeTransactions [0, flexible 0+] -> DescribeTransactionsResponse {
        [0+] transactional_ids: Vec<Str>,
    }

    /// The transactions.
    response DescribeTransactionsResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] transaction_states: Vec<TransactionState>,
    }

    /// An element of `transaction_states` of [`DescribeTransactionsResponse`].
    struct TransactionState {
        [0+] error_code: ErrorCode,
        [0+] transactional_id: Str,
        [0+] transaction_state: Str,
        [0+] transaction_timeout_ms: i32,
        /// When the transaction began, in milliseconds since the epoch; -1 if none is open.
        [0+] transaction_start_time_ms: i64,
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        [0+] topics: Vec<TopicData>,
    }

    /// An element of `topics` of [`TransactionState`].
    struct TopicData {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }
}
