//! What a share group keeps of a partition, as the partition's leader has the share coordinator write it (KIP-932, KIP-1226).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to store changes.
    request WriteShareGroupStateRequest = WriteShareGroupState [0-1, flexible 0+] -> WriteShareGroupStateResponse {
        [0+] group_id: Str,
        [0+] topics: Vec<WriteStateData>,
    }

    /// An element of `topics` of [`WriteShareGroupStateRequest`].
    struct WriteStateData {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`WriteStateData`].
    struct PartitionData {
        [0+] partition: i32,
        /// Raised each time the group begins anew with the partition.
        [0+] state_epoch: i32,
        /// Raised with each change of leader of the partition; what an older leader writes or asks is refused.
        [0+] leader_epoch: i32,
        /// Where delivery begins; -1 for no change.
        [0+] start_offset: i64,
        /// How many offsets from the start on are acknowledged or archived (KIP-1226); -1 if not known.
        [1+, ignorable] delivery_complete_count: i32 = -1,
        /// What has changed of offsets behind the start.
        [0+] state_batches: Vec<StateBatch>,
    }

    /// An element of `state_batches` of [`PartitionData`].
    struct StateBatch {
        [0+] first_offset: i64,
        /// Inclusive.
        [0+] last_offset: i64,
        /// 0 available, 2 acknowledged, 4 archived.
        [0+] delivery_state: i8,
        [0+] delivery_count: i16,
    }

    /// Per partition, whether they are stored.
    response WriteShareGroupStateResponse [0-1, flexible 0+] {
        [0+] results: Vec<WriteStateResult>,
    }

    /// An element of `results` of [`WriteShareGroupStateResponse`].
    struct WriteStateResult {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionResult>,
    }

    /// An element of `partitions` of [`WriteStateResult`].
    struct PartitionResult {
        [0+] partition: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
    }
}
