//! Finds the broker that coordinates a group, transaction or share partition (KIP-699 for batches).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks who coordinates a key.
    request FindCoordinatorRequest = FindCoordinator [0-6, flexible 3+] -> FindCoordinatorResponse {
        [0-3] key: Str,
        /// 0 a group, 1 a transaction, 2 a share partition.
        [1+] key_type: i8,
        [4+] coordinator_keys: Vec<Str>,
    }

    /// The coordinators.
    response FindCoordinatorResponse [0-6, flexible 3+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [0-3] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [1-3, null 1-3, ignorable] error_message: Option<Str> = Some(Str::default()),
        [0-3] node_id: i32,
        [0-3] host: Str,
        [0-3] port: i32,
        [4+] coordinators: Vec<Coordinator>,
    }

    /// An element of `coordinators` of [`FindCoordinatorResponse`].
    struct Coordinator {
        [4+] key: Str,
        [4+] node_id: i32,
        [4+] host: Str,
        [4+] port: i32,
        [4+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [4+, null 4+, ignorable] error_message: Option<Str> = Some(Str::default()),
    }
}
