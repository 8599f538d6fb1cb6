//! What clients may use, per entity (KIP-546).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the quotas of the entities that match every component.
    request DescribeClientQuotasRequest = DescribeClientQuotas [0-1, flexible 1+] -> DescribeClientQuotasResponse {
        [0+] components: Vec<ComponentData>,
        /// Whether entities with parts of other types than the components' are left out.
        [0+] strict: bool,
    }

    /// An element of `components` of [`DescribeClientQuotasRequest`].
    struct ComponentData {
        /// `user`, `client-id` or `ip`.
        [0+] entity_type: Str,
        /// 0 the name in `match`, 1 the default, 2 any name and the default.
        [0+] match_type: i8,
        [0+, null 0+] matched: Option<Str> = Some(Str::default()),
    }

    /// The quotas.
    response DescribeClientQuotasResponse [0-1, flexible 1+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
        /// Null with an error.
        [0+, null 0+] entries: Option<Vec<EntryData>> = Some(Vec::new()),
    }

    /// An element of `entries` of [`DescribeClientQuotasResponse`].
    struct EntryData {
        [0+] entity: Vec<EntityData>,
        [0+] values: Vec<ValueData>,
    }

    /// An element of `entity` of [`EntryData`].
    struct EntityData {
        [0+] entity_type: Str,
        /// Null for the default.
        [0+, null 0+] entity_name: Option<Str> = Some(Str::default()),
    }

    /// An element of `values` of [`EntryData`].
    struct ValueData {
        [0+] key: Str,
        [0+] value: f64,
    }
}
