//! What a share group keeps of a partition, as the partition's leader reads it from the share coordinator (KIP-932).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for all that is kept; older leaders are refused from then on.
    request ReadShareGroupStateRequest = ReadShareGroupState [0, flexible 0+] -> ReadShareGroupStateResponse {
        [0+] group_id: Str,
        [0+] topics: Vec<ReadStateData>,
    }

    /// An element of `topics` of [`ReadShareGroupStateRequest`].
    struct ReadStateData {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`ReadStateData`].
    struct PartitionData {
        [0+] partition: i32,
        /// Raised with each change of leader of the partition; what an older leader writes or asks is refused.
        [0+] leader_epoch: i32,
    }

    /// Per partition, where delivery stands.
    response ReadShareGroupStateResponse [0, flexible 0+] {
        [0+] results: Vec<ReadStateResult>,
    }

    /// An element of `results` of [`ReadShareGroupStateResponse`].
    struct ReadStateResult {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionResult>,
    }

    /// An element of `partitions` of [`ReadStateResult`].
    struct PartitionResult {
        [0+] partition: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        /// Raised each time the group begins anew with the partition.
        [0+] state_epoch: i32,
        /// Where delivery begins; -1 where none has said so far.
        [0+] start_offset: i64,
        /// What is known of offsets behind the start.
        [0+] state_batches: Vec<StateBatch>,
    }

    /// An element of `state_batches` of [`PartitionResult`].
    struct StateBatch {
        [0+] first_offset: i64,
        /// Inclusive.
        [0+] last_offset: i64,
        /// 0 available, 2 acknowledged, 4 archived.
        [0+] delivery_state: i8,
        [0+] delivery_count: i16,
    }
}
