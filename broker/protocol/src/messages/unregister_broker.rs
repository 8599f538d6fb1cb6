//! Forgets a broker that is gone for good (KIP-500).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to unregister a broker.
    request UnregisterBrokerRequest = UnregisterBroker [0, flexible 0+] -> UnregisterBrokerResponse {
        [0+] broker_id: i32,
    }

    /// Whether it was unregistered.
    response UnregisterBrokerResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
    }
}
