//! Says what a member of a share group did with the records that it acquired (KIP-932, KIP-1222).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Acknowledges records without fetching others.
    request ShareAcknowledgeRequest = ShareAcknowledge [1-2, flexible 0+] -> ShareAcknowledgeResponse {
        [0+, null 0+] group_id: Option<Str>,
        [0+, null 0+] member_id: Option<Str> = Some(Str::default()),
        /// -1 closes the share session; else one more than in the request before.
        [0+] share_session_epoch: i32,
        /// Whether an acknowledgement of the type Renew is among those here (KIP-1222).
        [2+] is_renew_ack: bool,
        [0+] topics: Vec<AcknowledgeTopic>,
    }

    /// An element of `topics` of [`ShareAcknowledgeRequest`].
    struct AcknowledgeTopic {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<AcknowledgePartition>,
    }

    /// An element of `partitions` of [`AcknowledgeTopic`].
    struct AcknowledgePartition {
        [0+] partition_index: i32,
        [0+] acknowledgement_batches: Vec<AcknowledgementBatch>,
    }

    /// An element of `acknowledgement_batches` of [`AcknowledgePartition`].
    struct AcknowledgementBatch {
        [0+] first_offset: i64,
        /// Inclusive.
        [0+] last_offset: i64,
        /// One for each offset, or one for all: 0 Gap, 1 Accept, 2 Release, 3 Reject, 4 Renew.
        [0+] acknowledge_types: Vec<i8>,
    }

    /// Per partition, what became of the acknowledgements.
    response ShareAcknowledgeResponse [1-2, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        /// For how long acquired records are locked, in milliseconds.
        [2+, ignorable] acquisition_lock_timeout_ms: i32,
        [0+] responses: Vec<ShareAcknowledgeTopicResponse>,
        /// Addresses of the leaders hinted at.
        [0+] node_endpoints: Vec<NodeEndpoint>,
    }

    /// An element of `responses` of [`ShareAcknowledgeResponse`].
    struct ShareAcknowledgeTopicResponse {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`ShareAcknowledgeTopicResponse`].
    struct PartitionData {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        /// The leader to go to instead.
        [0+] current_leader: LeaderIdAndEpoch,
    }

    /// The `current_leader` of [`PartitionData`].
    struct LeaderIdAndEpoch {
        /// -1 if not known.
        [0+] leader_id: i32,
        [0+] leader_epoch: i32,
    }

    /// An element of `node_endpoints` of [`ShareAcknowledgeResponse`].
    struct NodeEndpoint {
        [0+] node_id: i32,
        [0+] host: Str,
        [0+] port: i32,
        /// Where the broker stands; null if not known.
        [0+, null 0+] rack: Option<Str>,
    }
}
