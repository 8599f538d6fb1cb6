//! Membership in a consumer group of the consumer protocol (KIP-848).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Joins, keeps alive, reconciles or leaves. A field that has not changed since the last heartbeat is null.
    request ConsumerGroupHeartbeatRequest = ConsumerGroupHeartbeat [0-1, flexible 0+] -> ConsumerGroupHeartbeatResponse {
        [0+] group_id: Str,
        /// Made by the client from version 1 on; in version 0 empty until the coordinator has given one.
        [0+] member_id: Str,
        /// 0 to join, -1 to leave, -2 to leave for a while as a static member; else the epoch of the last answer.
        [0+] member_epoch: i32,
        /// The static member (KIP-345); null for a dynamic one.
        [0+, null 0+] instance_id: Option<Str>,
        [0+, null 0+] rack_id: Option<Str>,
        /// How long the member may take to give partitions up, in milliseconds; -1 for no change.
        [0+] rebalance_timeout_ms: i32 = -1,
        [0+, null 0+] subscribed_topic_names: Option<Vec<Str>>,
        /// A pattern that whole names of topics have to match.
        [1+, null 1+] subscribed_topic_regex: Option<Str>,
        [0+, null 0+] server_assignor: Option<Str>,
        /// What the member owns.
        [0+, null 0+] topic_partitions: Option<Vec<TopicPartitions>>,
    }

    /// Where the member stands.
    response ConsumerGroupHeartbeatResponse [0-1, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        [0+, null 0+] member_id: Option<Str>,
        [0+] member_epoch: i32,
        /// When the next heartbeat is due, in milliseconds.
        [0+] heartbeat_interval_ms: i32,
        /// What the member may consume from now on; null for no change.
        [0+, null 0+] assignment: Option<Assignment>,
    }

    /// An assignment of [`ConsumerGroupHeartbeatResponse`].
    struct Assignment {
        [0+] topic_partitions: Vec<TopicPartitions>,
    }

    /// Partitions of one topic.
    struct TopicPartitions {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<i32>,
    }
}
