//! The beginning of what a share group keeps of a partition, as the group coordinator tells it to the share coordinator (KIP-932).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to begin, or to begin anew.
    request InitializeShareGroupStateRequest = InitializeShareGroupState [0, flexible 0+] -> InitializeShareGroupStateResponse {
        [0+] group_id: Str,
        [0+] topics: Vec<InitializeStateData>,
    }

    /// An element of `topics` of [`InitializeShareGroupStateRequest`].
    struct InitializeStateData {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`InitializeStateData`].
    struct PartitionData {
        [0+] partition: i32,
        /// Raised each time the group begins anew with the partition.
        [0+] state_epoch: i32,
        /// Where delivery begins; -1 for where the leader of the partition says.
        [0+] start_offset: i64,
    }

    /// Per partition, whether it is stored.
    response InitializeShareGroupStateResponse [0, flexible 0+] {
        [0+] results: Vec<InitializeStateResult>,
    }

    /// An element of `results` of [`InitializeShareGroupStateResponse`].
    struct InitializeStateResult {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionResult>,
    }

    /// An element of `partitions` of [`InitializeStateResult`].
    struct PartitionResult {
        [0+] partition: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
    }
}
