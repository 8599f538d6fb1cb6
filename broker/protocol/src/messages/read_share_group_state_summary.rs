//! Where a share group stands in a partition, as the group coordinator asks it of the share coordinator (KIP-932, KIP-1226).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for the start, without what is known of single offsets.
    request ReadShareGroupStateSummaryRequest = ReadShareGroupStateSummary [0-1, flexible 0+] -> ReadShareGroupStateSummaryResponse {
        [0+] group_id: Str,
        [0+] topics: Vec<ReadStateSummaryData>,
    }

    /// An element of `topics` of [`ReadShareGroupStateSummaryRequest`].
    struct ReadStateSummaryData {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`ReadStateSummaryData`].
    struct PartitionData {
        [0+] partition: i32,
        /// Raised with each change of leader of the partition; what an older leader writes or asks is refused.
        [0+] leader_epoch: i32,
    }

    /// Per partition, where delivery begins.
    response ReadShareGroupStateSummaryResponse [0-1, flexible 0+] {
        [0+] results: Vec<ReadStateSummaryResult>,
    }

    /// An element of `results` of [`ReadShareGroupStateSummaryResponse`].
    struct ReadStateSummaryResult {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionResult>,
    }

    /// An element of `partitions` of [`ReadStateSummaryResult`].
    struct PartitionResult {
        [0+] partition: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        /// Raised each time the group begins anew with the partition.
        [0+] state_epoch: i32,
        /// Raised with each change of leader of the partition; what an older leader writes or asks is refused.
        [0+] leader_epoch: i32,
        /// Where delivery begins; -1 where none has said so far.
        [0+] start_offset: i64,
        /// How many offsets from the start on are acknowledged or archived (KIP-1226); -1 if not known.
        [1+, ignorable] delivery_complete_count: i32 = -1,
    }
}
