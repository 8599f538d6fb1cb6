//! Reads record batches for a member of a share group and acknowledges what it was given before (KIP-932, KIP-1206,
//! KIP-1222).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Records, Str, message};

message! {
    /// Asks a leader for records that are not acquired by another member. The topics are those added to the share session,
    /// those with acknowledgements, or both.
    request ShareFetchRequest = ShareFetch [1-2, flexible 0+] -> ShareFetchResponse {
        [0+, null 0+] group_id: Option<Str>,
        [0+, null 0+] member_id: Option<Str> = Some(Str::default()),
        /// 0 opens a share session, -1 closes it; else one more than in the request before.
        [0+] share_session_epoch: i32,
        /// How long to wait for `min_bytes`, in milliseconds.
        [0+] max_wait_ms: i32,
        /// The fewest bytes worth an answer before `max_wait_ms` is over.
        [0+] min_bytes: i32,
        [0+] max_bytes: i32 = i32::MAX,
        /// The most records to acquire; exceeded up to the end of a batch unless the mode is strict.
        [1+] max_records: i32,
        /// Of how many records the member would like a batch of acquired records to be.
        [1+] batch_size: i32,
        /// 0 acquires whole batches, 1 never more than `max_records` (KIP-1206).
        [2+, ignorable] share_acquire_mode: i8,
        /// Whether an acknowledgement of the type Renew is among those here (KIP-1222); then no record is fetched.
        [2+] is_renew_ack: bool,
        [0+] topics: Vec<FetchTopic>,
        /// What leaves the share session.
        [0+] forgotten_topics_data: Vec<ForgottenTopic>,
    }

    /// An element of `topics` of [`ShareFetchRequest`].
    struct FetchTopic {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<FetchPartition>,
    }

    /// An element of `partitions` of [`FetchTopic`].
    struct FetchPartition {
        [0+] partition_index: i32,
        [0+] acknowledgement_batches: Vec<AcknowledgementBatch>,
    }

    /// An element of `acknowledgement_batches` of [`FetchPartition`].
    struct AcknowledgementBatch {
        [0+] first_offset: i64,
        /// Inclusive.
        [0+] last_offset: i64,
        /// One for each offset, or one for all: 0 Gap, 1 Accept, 2 Release, 3 Reject, 4 Renew.
        [0+] acknowledge_types: Vec<i8>,
    }

    /// An element of `forgotten_topics_data` of [`ShareFetchRequest`].
    struct ForgottenTopic {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<i32>,
    }

    /// The batches, and which of their records the member has acquired.
    response ShareFetchResponse [1-2, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        /// For how long acquired records are locked, in milliseconds.
        [1+] acquisition_lock_timeout_ms: i32,
        [0+] responses: Vec<ShareFetchableTopicResponse>,
        /// Addresses of the leaders hinted at.
        [0+] node_endpoints: Vec<NodeEndpoint>,
    }

    /// An element of `responses` of [`ShareFetchResponse`].
    struct ShareFetchableTopicResponse {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// An element of `partitions` of [`ShareFetchableTopicResponse`].
    struct PartitionData {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        /// What became of the acknowledgements.
        [0+] acknowledge_error_code: ErrorCode,
        [0+, null 0+] acknowledge_error_message: Option<Str>,
        /// The leader to go to instead.
        [0+] current_leader: LeaderIdAndEpoch,
        /// Whole batches; what is not acquired of them is not for the member.
        [0+] records: Records,
        [0+] acquired_records: Vec<AcquiredRecords>,
    }

    /// The `current_leader` of [`PartitionData`].
    struct LeaderIdAndEpoch {
        /// -1 if not known.
        [0+] leader_id: i32,
        [0+] leader_epoch: i32,
    }

    /// An element of `acquired_records` of [`PartitionData`].
    struct AcquiredRecords {
        [0+] first_offset: i64,
        /// Inclusive.
        [0+] last_offset: i64,
        /// How often they have been delivered, this time included.
        [0+] delivery_count: i16,
    }

    /// An element of `node_endpoints` of [`ShareFetchResponse`].
    struct NodeEndpoint {
        [0+] node_id: i32,
        [0+] host: Str,
        [0+] port: i32,
        /// Where the broker stands; null if not known.
        [0+, null 0+] rack: Option<Str>,
    }
}
