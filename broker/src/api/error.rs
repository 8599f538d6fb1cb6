//! From domain errors to Kafka's error codes: the only place that does it.

use ottla_core::{controller, partition};
use ottla_protocol::ErrorCode;

use crate::controller::SubmitError;

/// The code that tells a client of `refusal`.
pub fn of_refusal(refusal: &partition::Refusal) -> ErrorCode {
    match refusal {
        partition::Refusal::NotEnoughReplicas { .. } => ErrorCode::NOT_ENOUGH_REPLICAS,
        partition::Refusal::FencedLeaderEpoch { .. } => ErrorCode::FENCED_LEADER_EPOCH,
        partition::Refusal::UnknownLeaderEpoch { .. } => ErrorCode::UNKNOWN_LEADER_EPOCH,
    }
}

/// The code that tells a client why the controller refused.
pub fn of_controller(error: &controller::Error) -> ErrorCode {
    use controller::Error;
    match error {
        Error::InvalidRequest(_) => ErrorCode::INVALID_REQUEST,
        Error::InvalidTopic(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
        Error::TopicAlreadyExists(_) => ErrorCode::TOPIC_ALREADY_EXISTS,
        Error::UnknownTopicOrPartition(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Error::UnknownTopicId => ErrorCode::UNKNOWN_TOPIC_ID,
        Error::InvalidPartitions(_) => ErrorCode::INVALID_PARTITIONS,
        Error::InvalidReplicationFactor(_) => ErrorCode::INVALID_REPLICATION_FACTOR,
        Error::InvalidReplicaAssignment(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        Error::InvalidConfig(_) => ErrorCode::INVALID_CONFIG,
        Error::PolicyViolation(_) => ErrorCode::POLICY_VIOLATION,
        Error::FeatureUpdateFailed(_) => ErrorCode::FEATURE_UPDATE_FAILED,
        Error::InconsistentClusterId { .. } => ErrorCode::INCONSISTENT_CLUSTER_ID,
        Error::DuplicateBrokerRegistration(_) => ErrorCode::DUPLICATE_BROKER_REGISTRATION,
        Error::BrokerIdNotRegistered(_) => ErrorCode::BROKER_ID_NOT_REGISTERED,
        Error::StaleBrokerEpoch { .. } => ErrorCode::STALE_BROKER_EPOCH,
        Error::UnsupportedVersion(_) => ErrorCode::UNSUPPORTED_VERSION,
        Error::Unknown(_) => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// The code that tells a client why a command did not come to a decision.
pub fn of_submit(error: &SubmitError) -> ErrorCode {
    match error {
        SubmitError::Refused(refusal) => of_controller(refusal),
        SubmitError::NotController { .. } => ErrorCode::NOT_CONTROLLER,
        SubmitError::Stopped => ErrorCode::COORDINATOR_NOT_AVAILABLE,
    }
}
