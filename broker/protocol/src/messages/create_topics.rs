//! Creates topics.

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for new topics.
    request CreateTopicsRequest = CreateTopics [2-7, flexible 5+] -> CreateTopicsResponse {
        [0+] topics: Vec<CreatableTopic>,
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32 = 60000,
        /// Whether to only check the request.
        [1+] validate_only: bool,
    }

    /// An element of `topics` of [`CreateTopicsRequest`].
    struct CreatableTopic {
        [0+] name: Str,
        /// Partitions; -1 for the default of the cluster, or if they are assigned by hand.
        [0+] num_partitions: i32,
        /// Replicas per partition; -1 for the default of the cluster, or if they are assigned by hand.
        [0+] replication_factor: i16,
        /// Replicas by hand; empty for the cluster to choose.
        [0+] assignments: Vec<CreatableReplicaAssignment>,
        [0+] configs: Vec<CreatableTopicConfig>,
    }

    /// An element of `assignments` of [`CreatableTopic`].
    struct CreatableReplicaAssignment {
        [0+] partition_index: i32,
        [0+] broker_ids: Vec<i32>,
    }

    /// An element of `configs` of [`CreatableTopic`].
    struct CreatableTopicConfig {
        [0+] name: Str,
        [0+, null 0+] value: Option<Str> = Some(Str::default()),
    }

    /// Per topic, whether it was created.
    response CreateTopicsResponse [2-7, flexible 5+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [2+, ignorable] throttle_time_ms: i32,
        [0+] topics: Vec<CreatableTopicResult>,
    }

    /// An element of `topics` of [`CreateTopicsResponse`].
    struct CreatableTopicResult {
        [0+] name: Str,
        [7+, ignorable] topic_id: Uuid,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [1+, null 0+, ignorable] error_message: Option<Str> = Some(Str::default()),
        [5+, tag 0, ignorable] topic_config_error_code: ErrorCode,
        /// Partitions; -1 for the default of the cluster, or if they are assigned by hand.
        [5+, ignorable] num_partitions: i32 = -1,
        /// Replicas per partition; -1 for the default of the cluster, or if they are assigned by hand.
        [5+, ignorable] replication_factor: i16 = -1,
        [5+, null 5+, ignorable] configs: Option<Vec<CreatableTopicConfigs>> = Some(Vec::new()),
    }

    /// An element of `configs` of [`CreatableTopicResult`].
    struct CreatableTopicConfigs {
        [5+] name: Str,
        [5+, null 5+] value: Option<Str> = Some(Str::default()),
        [5+] read_only: bool,
        /// Where the value comes from: 1 topic, 2 broker, 3 all brokers, 4 file, 5 built-in, 6 logger, 7 client metrics, 8 group.
        [5+, ignorable] config_source: i8 = -1,
        [5+] is_sensitive: bool,
    }
}
