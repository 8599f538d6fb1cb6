//! Every config entry of a resource, with its source, type and synonyms (KIP-226, KIP-569).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for configs; null names mean all.
    request DescribeConfigsRequest = DescribeConfigs [1-4, flexible 4+] -> DescribeConfigsResponse {
        [0+] resources: Vec<DescribeConfigsResource>,
        [1+] include_synonyms: bool,
        [3+] include_documentation: bool,
    }

    /// An element of `resources` of [`DescribeConfigsRequest`].
    struct DescribeConfigsResource {
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [0+, null 0+] configuration_keys: Option<Vec<Str>> = Some(Vec::new()),
    }

    /// The configs.
    response DescribeConfigsResponse [1-4, flexible 4+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<DescribeConfigsResult>,
    }

    /// An element of `results` of [`DescribeConfigsResponse`].
    struct DescribeConfigsResult {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [0+] configs: Vec<DescribeConfigsResourceResult>,
    }

    /// An element of `configs` of [`DescribeConfigsResult`].
    struct DescribeConfigsResourceResult {
        [0+] name: Str,
        [0+, null 0+] value: Option<Str> = Some(Str::default()),
        [0+] read_only: bool,
        /// Where the value comes from: 1 topic, 2 broker, 3 all brokers, 4 file, 5 built-in, 6 logger, 7 client metrics, 8 group.
        [1+, ignorable] config_source: i8 = -1,
        [0+] is_sensitive: bool,
        [1+, ignorable] synonyms: Vec<DescribeConfigsSynonym>,
        /// 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        [3+, ignorable] config_type: i8,
        [3+, null 0+, ignorable] documentation: Option<Str> = Some(Str::default()),
    }

    /// An element of `synonyms` of [`DescribeConfigsResourceResult`].
    struct DescribeConfigsSynonym {
        [1+] name: Str,
        [1+, null 0+] value: Option<Str> = Some(Str::default()),
        [1+] source: i8,
    }
}
