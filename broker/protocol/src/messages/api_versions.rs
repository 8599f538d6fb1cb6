//! Which APIs a broker serves at which versions (KIP-35, KIP-511, KIP-584). Its response header is always v0.

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks what the broker serves.
    request ApiVersionsRequest = ApiVersions [0-4, flexible 3+] -> ApiVersionsResponse {
        [3+, ignorable] client_software_name: Str,
        [3+, ignorable] client_software_version: Str,
    }

    /// What the broker serves.
    response ApiVersionsResponse [0-4, flexible 3+] {
        [0+] error_code: ErrorCode,
        [0+] api_keys: Vec<ApiVersion>,
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [3+, tag 0, ignorable] supported_features: Vec<SupportedFeatureKey>,
        /// The epoch of the finalized features; -1 if not known.
        [3+, tag 1, ignorable] finalized_features_epoch: i64 = -1,
        [3+, tag 2, ignorable] finalized_features: Vec<FinalizedFeatureKey>,
        [3+, tag 3, ignorable] zk_migration_ready: bool,
    }

    /// An element of `api_keys` of [`ApiVersionsResponse`].
    struct ApiVersion {
        [0+] api_key: i16,
        [0+] min_version: i16,
        [0+] max_version: i16,
    }

    /// An element of `supported_features` of [`ApiVersionsResponse`].
    struct SupportedFeatureKey {
        [3+] name: Str,
        [3+] min_version: i16,
        [3+] max_version: i16,
    }

    /// An element of `finalized_features` of [`ApiVersionsResponse`].
    struct FinalizedFeatureKey {
        [3+] name: Str,
        [3+] max_version_level: i16,
        [3+] min_version_level: i16,
    }
}
