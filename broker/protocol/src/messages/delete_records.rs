//! Raises the start of partitions' logs (KIP-107).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to delete the records before an offset.
    request DeleteRecordsRequest = DeleteRecords [0-2, flexible 2+] -> DeleteRecordsResponse {
        [0+] topics: Vec<DeleteRecordsTopic>,
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32,
    }

    /// An element of `topics` of [`DeleteRecordsRequest`].
    struct DeleteRecordsTopic {
        [0+] name: Str,
        [0+] partitions: Vec<DeleteRecordsPartition>,
    }

    /// An element of `partitions` of [`DeleteRecordsTopic`].
    struct DeleteRecordsPartition {
        [0+] partition_index: i32,
        [0+] offset: i64,
    }

    /// The new log starts.
    response DeleteRecordsResponse [0-2, flexible 2+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] topics: Vec<DeleteRecordsTopicResult>,
    }

    /// An element of `topics` of [`DeleteRecordsResponse`].
    struct DeleteRecordsTopicResult {
        [0+] name: Str,
        [0+] partitions: Vec<DeleteRecordsPartitionResult>,
    }

    /// An element of `partitions` of [`DeleteRecordsTopicResult`].
    struct DeleteRecordsPartitionResult {
        [0+] partition_index: i32,
        [0+] low_watermark: i64,
        [0+] error_code: ErrorCode,
    }
}
