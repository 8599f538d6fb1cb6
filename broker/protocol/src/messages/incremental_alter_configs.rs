//! Changes single config entries (KIP-339).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to change configs.
    request IncrementalAlterConfigsRequest = IncrementalAlterConfigs [0-1, flexible 1+] -> IncrementalAlterConfigsResponse {
        [0+] resources: Vec<AlterConfigsResource>,
        /// Whether to only check the request.
        [0+] validate_only: bool,
    }

    /// An element of `resources` of [`IncrementalAlterConfigsRequest`].
    struct AlterConfigsResource {
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [0+] configs: Vec<AlterableConfig>,
    }

    /// An element of `configs` of [`AlterConfigsResource`].
    struct AlterableConfig {
        [0+] name: Str,
        /// 0 set, 1 delete, 2 append, 3 subtract.
        [0+] config_operation: i8,
        [0+, null 0+] value: Option<Str> = Some(Str::default()),
    }

    /// Per resource, whether it was changed.
    response IncrementalAlterConfigsResponse [0-1, flexible 1+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] responses: Vec<AlterConfigsResourceResponse>,
    }

    /// An element of `responses` of [`IncrementalAlterConfigsResponse`].
    struct AlterConfigsResourceResponse {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        [0+] resource_type: i8,
        [0+] resource_name: Str,
    }
}
