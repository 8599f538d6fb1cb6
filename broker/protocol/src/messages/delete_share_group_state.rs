//! The end of what a share group keeps of a partition (KIP-932).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to forget.
    request DeleteShareGroupStateRequest = DeleteShareGroupState [0, flexible 0+] -> DeleteShareGroupStateResponse {
        [0+] group_id: Str,
        [0+] topics: Vec<DeleteStateData>,
    }

    /// An element of `topics` of [`DeleteShareGroupStateRequest`].
    struct DeleteStateData {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`DeleteStateData`].
    struct PartitionData {
        [0+] partition: i32,
    }

    /// Per partition, whether it is forgotten; also where nothing was kept.
    response DeleteShareGroupStateResponse [0, flexible 0+] {
        [0+] results: Vec<DeleteStateResult>,
    }

    /// An element of `results` of [`DeleteShareGroupStateResponse`].
    struct DeleteStateResult {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionResult>,
    }

    /// An element of `partitions` of [`DeleteStateResult`].
    struct PartitionResult {
        [0+] partition: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
    }
}
