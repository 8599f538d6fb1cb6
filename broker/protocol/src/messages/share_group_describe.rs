//! State and members of share groups (KIP-932).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for groups by name.
    request ShareGroupDescribeRequest = ShareGroupDescribe [1, flexible 0+] -> ShareGroupDescribeResponse {
        [0+] group_ids: Vec<Str>,
        [0+] include_authorized_operations: bool,
    }

    /// The groups.
    response ShareGroupDescribeResponse [1, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] groups: Vec<DescribedGroup>,
    }

    /// An element of `groups` of [`ShareGroupDescribeResponse`].
    struct DescribedGroup {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        [0+] group_id: Str,
        [0+] group_state: Str,
        /// Grows with every change of the members, of what they subscribe to, or of what may be assigned.
        [0+] group_epoch: i32,
        /// The group epoch that the assignment is for.
        [0+] assignment_epoch: i32,
        [0+] assignor_name: Str,
        [0+] members: Vec<Member>,
        /// Bits of the operations allowed; the least integer if not asked for.
        [0+] authorized_operations: i32 = i32::MIN,
    }

    /// An element of `members` of [`DescribedGroup`].
    struct Member {
        [0+] member_id: Str,
        [0+, null 0+] rack_id: Option<Str>,
        [0+] member_epoch: i32,
        [0+] client_id: Str,
        [0+] client_host: Str,
        [0+] subscribed_topic_names: Vec<Str>,
        /// What the member has.
        [0+] assignment: Assignment,
    }

    /// An assignment of [`Member`].
    struct Assignment {
        [0+] topic_partitions: Vec<TopicPartitions>,
    }

    /// Partitions of one topic.
    struct TopicPartitions {
        [0+] topic_id: Uuid,
        [0+] topic_name: Str,
        [0+] partitions: Vec<i32>,
    }
}
