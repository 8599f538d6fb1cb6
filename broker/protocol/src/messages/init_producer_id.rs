//! Gives an idempotent or transactional producer its id and epoch (KIP-98, KIP-360, KIP-939).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for a producer id.
    request InitProducerIdRequest = InitProducerId [0-6, flexible 2+] -> InitProducerIdResponse {
        /// The transactional producer; null for any other.
        [0+, null 0+] transactional_id: Option<Str> = Some(Str::default()),
        [0+] transaction_timeout_ms: i32,
        /// The producer id; -1 for none.
        [3+] producer_id: i64 = -1,
        /// The epoch of the producer id; -1 for none.
        [3+] producer_epoch: i16 = -1,
        /// Whether the producer takes part in a two-phase commit (KIP-939).
        [6+] enable_2pc: bool,
        /// Whether to keep a prepared transaction (KIP-939).
        [6+] keep_prepared_txn: bool,
    }

    /// The producer id.
    response InitProducerIdResponse [0-6, flexible 2+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+, ignorable] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// The producer id; -1 for none.
        [0+] producer_id: i64 = -1,
        /// The epoch of the producer id; -1 for none.
        [0+] producer_epoch: i16,
        [6+] ongoing_txn_producer_id: i64 = -1,
        [6+] ongoing_txn_producer_epoch: i16 = -1,
    }
}
