//! Why the controller refuses: a variant per Kafka error code, with the message a client shows.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

type Message = Cow<'static, str>;

/// Why a command, or one item of it, is refused. Each variant stands for one Kafka error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// INVALID_REQUEST: it contradicts itself.
    #[error("{0}")]
    InvalidRequest(Message),
    /// INVALID_TOPIC_EXCEPTION: the name is no name, or collides.
    #[error("{0}")]
    InvalidTopic(Message),
    /// TOPIC_ALREADY_EXISTS.
    #[error("Topic '{0}' already exists.")]
    TopicAlreadyExists(String),
    /// UNKNOWN_TOPIC_OR_PARTITION; some requests answer without a message.
    #[error("{0}")]
    UnknownTopicOrPartition(Message),
    /// UNKNOWN_TOPIC_ID.
    #[error("This server does not host this topic ID.")]
    UnknownTopicId,
    /// INVALID_PARTITIONS.
    #[error("{0}")]
    InvalidPartitions(Message),
    /// INVALID_REPLICATION_FACTOR.
    #[error("{0}")]
    InvalidReplicationFactor(Message),
    /// INVALID_REPLICA_ASSIGNMENT.
    #[error("{0}")]
    InvalidReplicaAssignment(Message),
    /// NO_REASSIGNMENT_IN_PROGRESS.
    #[error("No partition reassignment is in progress.")]
    NoReassignmentInProgress,
    /// INVALID_CONFIG.
    #[error("{0}")]
    InvalidConfig(Message),
    /// POLICY_VIOLATION.
    #[error("{0}")]
    PolicyViolation(Message),
    /// INVALID_UPDATE_VERSION: a feature cannot be finalized at this level.
    #[error("{0}")]
    InvalidUpdateVersion(Message),
    /// INCONSISTENT_CLUSTER_ID: a broker of another cluster.
    #[error("this is cluster {expected}, not {found}")]
    InconsistentClusterId {
        /// This cluster.
        expected: String,
        /// The one the broker belongs to.
        found: String,
    },
    /// DUPLICATE_BROKER_REGISTRATION: another process with this broker id is alive.
    #[error("another broker with id {0} is registered and has not been fenced")]
    DuplicateBrokerRegistration(i32),
    /// BROKER_ID_NOT_REGISTERED.
    #[error("Broker ID {0} is not currently registered")]
    BrokerIdNotRegistered(i32),
    /// STALE_BROKER_EPOCH: the sender has been registered anew, or forgotten, since.
    #[error("Expected broker epoch {expected}, but got broker epoch {found}")]
    StaleBrokerEpoch {
        /// The registered epoch; −1 when there is none.
        expected: i64,
        /// The one given.
        found: i64,
    },
    /// ELECTION_NOT_NEEDED.
    #[error("Leader election not needed for topic partition.")]
    ElectionNotNeeded,
    /// PREFERRED_LEADER_NOT_AVAILABLE.
    #[error("The preferred leader was not available.")]
    PreferredLeaderNotAvailable,
    /// ELIGIBLE_LEADERS_NOT_AVAILABLE.
    #[error("Eligible topic partition leaders are not available.")]
    EligibleLeadersNotAvailable,
    /// UNSUPPORTED_VERSION: the broker cannot run with the finalized features.
    #[error("{0}")]
    UnsupportedVersion(Message),
    /// THROTTLING_QUOTA_EXCEEDED: the client has changed more than it may (KIP-599), and may try again later.
    #[error("The throttling quota has been exceeded.")]
    ThrottlingQuotaExceeded,
    /// UNKNOWN_SERVER_ERROR: nothing better fits; also what a real broker answers for an unknown operation.
    #[error("{0}")]
    Unknown(Message),
}

impl Error {
    /// The text for the response's message field; `None` for null.
    pub fn message(&self) -> Option<String> {
        Some(self.to_string()).filter(|message| !message.is_empty())
    }

    /// UNKNOWN_TOPIC_OR_PARTITION with the code's general message.
    pub(super) fn unknown_topic() -> Self {
        Self::UnknownTopicOrPartition("This server does not host this topic-partition.".into())
    }
}
