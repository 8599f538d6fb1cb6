//! Brokers, and the topics and partitions that they lead.

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for some topics, none or (null) all.
    request MetadataRequest = Metadata [0-13, flexible 9+] -> MetadataResponse {
        [0+, null 1+] topics: Option<Vec<MetadataRequestTopic>> = Some(Vec::new()),
        [4+] allow_auto_topic_creation: bool = true,
        [8-10] include_cluster_authorized_operations: bool,
        [8+] include_topic_authorized_operations: bool,
    }

    /// An element of `topics` of [`MetadataRequest`].
    struct MetadataRequestTopic {
        [10+, ignorable] topic_id: Uuid,
        [0+, null 10+] name: Option<Str> = Some(Str::default()),
    }

    /// What the answering broker knows of the cluster.
    response MetadataResponse [0-13, flexible 9+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [3+, ignorable] throttle_time_ms: i32,
        [0+] brokers: Vec<MetadataResponseBroker>,
        [2+, null 2+, ignorable] cluster_id: Option<Str>,
        /// The broker to send administrative requests to; -1 if not known.
        [1+, ignorable] controller_id: i32 = -1,
        [0+] topics: Vec<MetadataResponseTopic>,
        /// Bits of the operations allowed; the least integer if not asked for.
        [8-10] cluster_authorized_operations: i32 = i32::MIN,
        [13+, ignorable] error_code: ErrorCode,
    }

    /// An element of `brokers` of [`MetadataResponse`].
    struct MetadataResponseBroker {
        [0+] node_id: i32,
        [0+] host: Str,
        [0+] port: i32,
        /// Where the broker stands; null if not known.
        [1+, null 1+, ignorable] rack: Option<Str>,
    }

    /// An element of `topics` of [`MetadataResponse`].
    struct MetadataResponseTopic {
        [0+] error_code: ErrorCode,
        [0+, null 12+] name: Option<Str> = Some(Str::default()),
        [10+, ignorable] topic_id: Uuid,
        /// Whether the cluster itself uses the topic.
        [1+, ignorable] is_internal: bool,
        [0+] partitions: Vec<MetadataResponsePartition>,
        /// Bits of the operations allowed; the least integer if not asked for.
        [8+] topic_authorized_operations: i32 = i32::MIN,
    }

    /// An element of `partitions` of [`MetadataResponseTopic`].
    struct MetadataResponsePartition {
        [0+] error_code: ErrorCode,
        [0+] partition_index: i32,
        [0+] leader_id: i32,
        /// Raised with each change of leader; -1 if not known.
        [7+, ignorable] leader_epoch: i32 = -1,
        [0+] replica_nodes: Vec<i32>,
        /// The in-sync replicas.
        [0+] isr_nodes: Vec<i32>,
        /// Replicas whose broker or log directory is down.
        [5+, ignorable] offline_replicas: Vec<i32>,
    }
}
