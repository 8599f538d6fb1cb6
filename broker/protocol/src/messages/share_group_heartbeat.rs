//! Membership in a share group (KIP-932).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Joins, keeps alive or leaves. A field that has not changed since the last heartbeat is null.
    request ShareGroupHeartbeatRequest = ShareGroupHeartbeat [1, flexible 0+] -> ShareGroupHeartbeatResponse {
        [0+] group_id: Str,
        /// Made by the client.
        [0+] member_id: Str,
        /// 0 to join, -1 to leave; else the epoch of the last answer.
        [0+] member_epoch: i32,
        [0+, null 0+] rack_id: Option<Str>,
        [0+, null 0+] subscribed_topic_names: Option<Vec<Str>>,
    }

    /// Where the member stands.
    response ShareGroupHeartbeatResponse [1, flexible 0+] {
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

    /// An assignment of [`ShareGroupHeartbeatResponse`].
    struct Assignment {
        [0+] topic_partitions: Vec<TopicPartitions>,
    }

    /// Partitions of one topic.
    struct TopicPartitions {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<i32>,
    }
}
