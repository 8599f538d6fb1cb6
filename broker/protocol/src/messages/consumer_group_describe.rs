//! State and members of groups of the consumer protocol (KIP-848).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for groups by name.
    request ConsumerGroupDescribeRequest = ConsumerGroupDescribe [0-1, flexible 0+] -> ConsumerGroupDescribeResponse {
        [0+] group_ids: Vec<Str>,
        [0+] include_authorized_operations: bool,
    }

    /// The groups.
    response ConsumerGroupDescribeResponse [0-1, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] groups: Vec<DescribedGroup>,
    }

    /// An element of `groups` of [`ConsumerGroupDescribeResponse`].
    struct DescribedGroup {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        [0+] group_id: Str,
        [0+] group_state: Str,
        /// Grows with every change of the members or of what they subscribe to.
        [0+] group_epoch: i32,
        /// The group epoch that the target assignment is for.
        [0+] assignment_epoch: i32,
        [0+] assignor_name: Str,
        [0+] members: Vec<Member>,
        /// Bits of the operations allowed; the least integer if not asked for.
        [0+] authorized_operations: i32 = i32::MIN,
    }

    /// An element of `members` of [`DescribedGroup`].
    struct Member {
        [0+] member_id: Str,
        /// The static member (KIP-345); null for a dynamic one.
        [0+, null 0+] instance_id: Option<Str>,
        [0+, null 0+] rack_id: Option<Str>,
        [0+] member_epoch: i32,
        [0+] client_id: Str,
        [0+] client_host: Str,
        [0+] subscribed_topic_names: Vec<Str>,
        [0+, null 0+] subscribed_topic_regex: Option<Str>,
        /// What the member has.
        [0+] assignment: Assignment,
        /// What the member is to have.
        [0+] target_assignment: Assignment,
        /// 0 for the classic protocol, 1 for the consumer protocol, -1 if not known.
        [1+, ignorable] member_type: i8 = -1,
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
