//! Finalizes feature levels of the whole cluster (KIP-584, KIP-778).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to finalize features at other levels: all of them, or none.
    request UpdateFeaturesRequest = UpdateFeatures [0-2, flexible 0+] -> UpdateFeaturesResponse {
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32 = 60000,
        [0+] feature_updates: Vec<FeatureUpdateKey>,
        /// Only say whether it could be done.
        [1+] validate_only: bool,
    }

    /// An element of `feature_updates` of [`UpdateFeaturesRequest`].
    struct FeatureUpdateKey {
        [0+] feature: Str,
        /// The wanted level; 0 takes the feature away.
        [0+] max_version_level: i16,
        /// Whether a lower level than now is meant.
        [0] allow_downgrade: bool,
        /// 1 upgrade, 2 downgrade without loss, 3 downgrade that may lose metadata.
        [1+] upgrade_type: i8 = 1,
    }

    /// Whether all was done.
    response UpdateFeaturesResponse [0-2, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
        [0-1, ignorable] results: Vec<UpdatableFeatureResult>,
    }

    /// An element of `results` of [`UpdateFeaturesResponse`].
    struct UpdatableFeatureResult {
        [0+] feature: Str,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
    }
}
