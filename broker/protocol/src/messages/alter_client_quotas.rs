//! Changes what clients may use, per entity (KIP-546).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to change quotas.
    request AlterClientQuotasRequest = AlterClientQuotas [0-1, flexible 1+] -> AlterClientQuotasResponse {
        [0+] entries: Vec<EntryData>,
        /// Whether to only check the request.
        [0+] validate_only: bool,
    }

    /// An element of `entries` of [`AlterClientQuotasRequest`].
    struct EntryData {
        [0+] entity: Vec<EntityData>,
        [0+] ops: Vec<OpData>,
    }

    /// An element of `entity` of [`EntryData`], and of the entries of [`AlterClientQuotasResponse`].
    struct EntityData {
        /// `user`, `client-id` or `ip`.
        [0+] entity_type: Str,
        /// Null for the default.
        [0+, null 0+] entity_name: Option<Str> = Some(Str::default()),
    }

    /// An element of `ops` of [`EntryData`].
    struct OpData {
        [0+] key: Str,
        [0+] value: f64,
        /// Whether to unset it; `value` says nothing then.
        [0+] remove: bool,
    }

    /// Per entity, whether it was changed.
    response AlterClientQuotasResponse [0-1, flexible 1+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] entries: Vec<EntryResponse>,
    }

    /// An element of `entries` of [`AlterClientQuotasResponse`].
    struct EntryResponse {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
        [0+] entity: Vec<EntityData>,
    }
}
