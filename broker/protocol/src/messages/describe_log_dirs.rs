//! Log directories, their replicas and space (KIP-113, KIP-827).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the log directories of one broker.
    request DescribeLogDirsRequest = DescribeLogDirs [1-5, flexible 2+] -> DescribeLogDirsResponse {
        [0+, null 0+] topics: Option<Vec<DescribableLogDirTopic>> = Some(Vec::new()),
    }

    /// An element of `topics` of [`DescribeLogDirsRequest`].
    struct DescribableLogDirTopic {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }

    /// The log directories.
    response DescribeLogDirsResponse [1-5, flexible 2+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [3+, ignorable] error_code: ErrorCode,
        [0+] results: Vec<DescribeLogDirsResult>,
    }

    /// An element of `results` of [`DescribeLogDirsResponse`].
    struct DescribeLogDirsResult {
        [0+] error_code: ErrorCode,
        [0+] log_dir: Str,
        [0+] topics: Vec<DescribeLogDirsTopic>,
        /// Size of the volume in bytes; -1 if not known.
        [4+, ignorable] total_bytes: i64 = -1,
        /// Bytes left on the volume; -1 if not known.
        [4+, ignorable] usable_bytes: i64 = -1,
        [5+, ignorable] is_cordoned: bool,
    }

    /// An element of `topics` of [`DescribeLogDirsResult`].
    struct DescribeLogDirsTopic {
        [0+] name: Str,
        [0+] partitions: Vec<DescribeLogDirsPartition>,
    }

    /// An element of `partitions` of [`DescribeLogDirsTopic`].
    struct DescribeLogDirsPartition {
        [0+] partition_index: i32,
        [0+] partition_size: i64,
        /// How far the replica lags behind the high watermark (behind the current replica, if it is a future one).
        [0+] offset_lag: i64,
        /// Whether it is the replica that is being moved to this directory.
        [0+] is_future_key: bool,
    }
}
