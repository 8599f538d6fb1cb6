//! Moves replicas between the log directories of one broker (KIP-113).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to move replicas.
    request AlterReplicaLogDirsRequest = AlterReplicaLogDirs [1-2, flexible 2+] -> AlterReplicaLogDirsResponse {
        [0+] dirs: Vec<AlterReplicaLogDir>,
    }

    /// An element of `dirs` of [`AlterReplicaLogDirsRequest`].
    struct AlterReplicaLogDir {
        [0+] path: Str,
        [0+] topics: Vec<AlterReplicaLogDirTopic>,
    }

    /// An element of `topics` of [`AlterReplicaLogDir`].
    struct AlterReplicaLogDirTopic {
        [0+] name: Str,
        [0+] partitions: Vec<i32>,
    }

    /// Per partition, whether the move has begun.
    response AlterReplicaLogDirsResponse [1-2, flexible 2+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<AlterReplicaLogDirTopicResult>,
    }

    /// An element of `results` of [`AlterReplicaLogDirsResponse`].
    struct AlterReplicaLogDirTopicResult {
        [0+] topic_name: Str,
        [0+] partitions: Vec<AlterReplicaLogDirPartitionResult>,
    }

    /// An element of `partitions` of [`AlterReplicaLogDirTopicResult`].
    struct AlterReplicaLogDirPartitionResult {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
    }
}
