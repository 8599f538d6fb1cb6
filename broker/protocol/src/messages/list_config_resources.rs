//! Names of resources that have configs (KIP-714, KIP-1142).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for names of config resources.
    request ListConfigResourcesRequest = ListConfigResources [0-1, flexible 0+] -> ListConfigResourcesResponse {
        [1+] resource_types: Vec<i8>,
    }

    /// The resources.
    response ListConfigResourcesResponse [0-1, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        [0+] config_resources: Vec<ConfigResource>,
    }

    /// An element of `config_resources` of [`ListConfigResourcesResponse`].
    struct ConfigResource {
        [0+] resource_name: Str,
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        [1+, ignorable] resource_type: i8 = 16,
    }
}
