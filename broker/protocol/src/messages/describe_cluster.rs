//! Brokers or controllers of the cluster (KIP-700, KIP-919).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the nodes.
    request DescribeClusterRequest = DescribeCluster [0-2, flexible 0+] -> DescribeClusterResponse {
        [0+] include_cluster_authorized_operations: bool,
        /// 1 brokers, 2 controllers.
        [1+] endpoint_type: i8 = 1,
        [2+] include_fenced_brokers: bool,
    }

    /// The nodes.
    response DescribeClusterResponse [0-2, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        /// 1 brokers, 2 controllers.
        [1+] endpoint_type: i8 = 1,
        [0+] cluster_id: Str,
        /// The broker to send administrative requests to; -1 if not known.
        [0+] controller_id: i32 = -1,
        [0+] brokers: Vec<DescribeClusterBroker>,
        /// Bits of the operations allowed; the least integer if not asked for.
        [0+] cluster_authorized_operations: i32 = i32::MIN,
    }

    /// An element of `brokers` of [`DescribeClusterResponse`].
    struct DescribeClusterBroker {
        [0+] broker_id: i32,
        [0+] host: Str,
        [0+] port: i32,
        /// Where the broker stands; null if not known.
        [0+, null 0+] rack: Option<Str>,
        /// Whether the broker is fenced.
        [2+] is_fenced: bool,
    }
}
