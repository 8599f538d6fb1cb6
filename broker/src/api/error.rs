//! From domain errors to Kafka's error codes: the only place that does it.

use ottla_core::client_metrics;
use ottla_core::controller;
use ottla_core::group;
use ottla_core::partition::Refusal;
use ottla_core::share;
use ottla_core::txn;
use ottla_protocol::ErrorCode;
use ottla_storage::ProducerError;

use crate::client_metrics::Error as PushError;
use crate::controller::SubmitError;
use crate::coordinator::Unavailable;
use crate::replica::{self, Invalid, Outcome};

/// The code that tells a client of a replica's `error`.
pub fn of_replica(error: &replica::Error) -> ErrorCode {
    match error {
        replica::Error::UnknownPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        replica::Error::UnknownTopicId => ErrorCode::UNKNOWN_TOPIC_ID,
        replica::Error::NotLeader { .. } => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        replica::Error::NotServed => ErrorCode::KAFKA_STORAGE_ERROR,
        replica::Error::NotReplica { .. } => ErrorCode::UNKNOWN_LEADER_EPOCH,
        replica::Error::Refused(refusal) => of_refusal(refusal),
        replica::Error::Invalid(invalid) => of_invalid(invalid),
        replica::Error::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        replica::Error::OffsetNotAvailable => ErrorCode::OFFSET_NOT_AVAILABLE,
        replica::Error::Offline | replica::Error::Damaged(_) => ErrorCode::KAFKA_STORAGE_ERROR,
        replica::Error::Storage(error) => of_storage(error),
    }
}

fn of_refusal(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::NotEnoughReplicas { .. } => ErrorCode::NOT_ENOUGH_REPLICAS,
        Refusal::FencedLeaderEpoch { .. } => ErrorCode::FENCED_LEADER_EPOCH,
        Refusal::UnknownLeaderEpoch { .. } => ErrorCode::UNKNOWN_LEADER_EPOCH,
    }
}

fn of_invalid(invalid: &Invalid) -> ErrorCode {
    match invalid {
        Invalid::Corrupt(_) | Invalid::Checksum => ErrorCode::CORRUPT_MESSAGE,
        Invalid::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        Invalid::Compression => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        Invalid::NotOneBatch(_) | Invalid::Records(_) | Invalid::Keyless(_) => ErrorCode::INVALID_RECORD,
        Invalid::Timestamp { .. } => ErrorCode::INVALID_TIMESTAMP,
        // As Kafka, which asks for the right to an id that is not named.
        Invalid::WithoutTransactionalId => ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
}

fn of_storage(error: &ottla_storage::Error) -> ErrorCode {
    match error {
        ottla_storage::Error::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ottla_storage::Error::Batch(ottla_records::Error::Crc { .. }) => ErrorCode::CORRUPT_MESSAGE,
        ottla_storage::Error::Batch(_) => ErrorCode::INVALID_RECORD,
        ottla_storage::Error::BatchTooLarge { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
        ottla_storage::Error::Producer(ProducerError::OutOfOrderSequence { .. }) => {
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
        }
        ottla_storage::Error::Producer(ProducerError::InvalidEpoch { .. }) => ErrorCode::INVALID_PRODUCER_EPOCH,
        ottla_storage::Error::Producer(ProducerError::NotVerified { .. }) => ErrorCode::INVALID_TXN_STATE,
        ottla_storage::Error::Producer(ProducerError::CoordinatorFenced { .. }) => {
            ErrorCode::TRANSACTION_COORDINATOR_FENCED
        }
        ottla_storage::Error::Deleted(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        _ => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

/// The code for a produce that has waited: what its wait came to, or that it came to nothing in time.
pub fn of_outcome(outcome: Outcome) -> ErrorCode {
    match outcome {
        Outcome::Waiting => ErrorCode::REQUEST_TIMED_OUT,
        Outcome::Committed => ErrorCode::NONE,
        Outcome::NotLeader => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        Outcome::StorageFailed => ErrorCode::KAFKA_STORAGE_ERROR,
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
        Error::NoReassignmentInProgress => ErrorCode::NO_REASSIGNMENT_IN_PROGRESS,
        Error::InvalidConfig(_) => ErrorCode::INVALID_CONFIG,
        Error::PolicyViolation(_) => ErrorCode::POLICY_VIOLATION,
        Error::InvalidUpdateVersion(_) => ErrorCode::INVALID_UPDATE_VERSION,
        Error::InconsistentClusterId { .. } => ErrorCode::INCONSISTENT_CLUSTER_ID,
        Error::DuplicateBrokerRegistration(_) => ErrorCode::DUPLICATE_BROKER_REGISTRATION,
        Error::BrokerIdNotRegistered(_) => ErrorCode::BROKER_ID_NOT_REGISTERED,
        Error::StaleBrokerEpoch { .. } => ErrorCode::STALE_BROKER_EPOCH,
        Error::ElectionNotNeeded => ErrorCode::ELECTION_NOT_NEEDED,
        Error::PreferredLeaderNotAvailable => ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE,
        Error::EligibleLeadersNotAvailable => ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE,
        Error::UnsupportedVersion(_) => ErrorCode::UNSUPPORTED_VERSION,
        Error::ThrottlingQuotaExceeded => ErrorCode::THROTTLING_QUOTA_EXCEEDED,
        Error::Unknown(_) => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// The code that tells a client why a command did not come to a decision.
pub fn of_submit(error: &SubmitError) -> ErrorCode {
    match error {
        SubmitError::Refused(refusal) => of_controller(refusal),
        SubmitError::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
        SubmitError::Stopped => ErrorCode::COORDINATOR_NOT_AVAILABLE,
    }
}

/// The code of a refusal by a group coordinator; each has the code of its own name.
pub fn of_group(error: group::Error) -> ErrorCode {
    match error {
        group::Error::CoordinatorNotAvailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        group::Error::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        group::Error::InvalidGroupId => ErrorCode::INVALID_GROUP_ID,
        group::Error::GroupIdNotFound => ErrorCode::GROUP_ID_NOT_FOUND,
        group::Error::NonEmptyGroup => ErrorCode::NON_EMPTY_GROUP,
        group::Error::GroupMaxSizeReached => ErrorCode::GROUP_MAX_SIZE_REACHED,
        group::Error::UnknownMemberId => ErrorCode::UNKNOWN_MEMBER_ID,
        group::Error::MemberIdRequired => ErrorCode::MEMBER_ID_REQUIRED,
        group::Error::FencedInstanceId => ErrorCode::FENCED_INSTANCE_ID,
        group::Error::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
        group::Error::RebalanceInProgress => ErrorCode::REBALANCE_IN_PROGRESS,
        group::Error::InconsistentGroupProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        group::Error::InvalidSessionTimeout => ErrorCode::INVALID_SESSION_TIMEOUT,
        group::Error::GroupSubscribedToTopic => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
        group::Error::OffsetMetadataTooLarge => ErrorCode::OFFSET_METADATA_TOO_LARGE,
        group::Error::InvalidCommitOffsetSize => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        group::Error::UnstableOffsetCommit => ErrorCode::UNSTABLE_OFFSET_COMMIT,
        group::Error::InvalidProducerEpoch => ErrorCode::INVALID_PRODUCER_EPOCH,
        group::Error::InvalidTxnState => ErrorCode::INVALID_TXN_STATE,
        group::Error::InvalidRequest => ErrorCode::INVALID_REQUEST,
        group::Error::FencedMemberEpoch => ErrorCode::FENCED_MEMBER_EPOCH,
        group::Error::StaleMemberEpoch => ErrorCode::STALE_MEMBER_EPOCH,
        group::Error::UnreleasedInstanceId => ErrorCode::UNRELEASED_INSTANCE_ID,
        group::Error::UnsupportedAssignor => ErrorCode::UNSUPPORTED_ASSIGNOR,
        group::Error::InvalidRegularExpression => ErrorCode::INVALID_REGULAR_EXPRESSION,
        group::Error::UnknownTopicOrPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        group::Error::CoordinatorLoadInProgress => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        group::Error::FencedStateEpoch => ErrorCode::FENCED_STATE_EPOCH,
        group::Error::StreamsInvalidTopology => ErrorCode::STREAMS_INVALID_TOPOLOGY,
        group::Error::UnsupportedVersion => ErrorCode::UNSUPPORTED_VERSION,
        group::Error::UnknownServerError => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// What a share coordinator answered to a group coordinator.
pub fn to_group(code: ErrorCode) -> group::Error {
    match code {
        ErrorCode::NOT_COORDINATOR => group::Error::NotCoordinator,
        ErrorCode::COORDINATOR_NOT_AVAILABLE => group::Error::CoordinatorNotAvailable,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => group::Error::CoordinatorLoadInProgress,
        ErrorCode::FENCED_STATE_EPOCH => group::Error::FencedStateEpoch,
        ErrorCode::INVALID_REQUEST => group::Error::InvalidRequest,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => group::Error::UnknownTopicOrPartition,
        _ => group::Error::UnknownServerError,
    }
}

/// The code of a refusal by a transaction coordinator; each has the code of its own name.
pub fn of_txn(error: txn::Error) -> ErrorCode {
    match error {
        txn::Error::CoordinatorNotAvailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        txn::Error::CoordinatorLoadInProgress => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        txn::Error::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        txn::Error::InvalidRequest => ErrorCode::INVALID_REQUEST,
        txn::Error::InvalidTransactionTimeout => ErrorCode::INVALID_TRANSACTION_TIMEOUT,
        txn::Error::InvalidProducerIdMapping => ErrorCode::INVALID_PRODUCER_ID_MAPPING,
        txn::Error::ProducerFenced => ErrorCode::PRODUCER_FENCED,
        txn::Error::ConcurrentTransactions => ErrorCode::CONCURRENT_TRANSACTIONS,
        txn::Error::InvalidTxnState => ErrorCode::INVALID_TXN_STATE,
        txn::Error::TransactionAbortable => ErrorCode::TRANSACTION_ABORTABLE,
        txn::Error::TransactionalIdNotFound => ErrorCode::TRANSACTIONAL_ID_NOT_FOUND,
        txn::Error::UnknownServerError => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// The code that tells a client why it is not told what to push, or what it pushes is not taken.
pub fn of_client_metrics(refusal: client_metrics::Refusal) -> ErrorCode {
    use client_metrics::Refusal;
    match refusal {
        Refusal::ReservedInstance | Refusal::Terminated => ErrorCode::INVALID_REQUEST,
        Refusal::TooEarly => ErrorCode::THROTTLING_QUOTA_EXCEEDED,
        Refusal::UnknownSubscription => ErrorCode::UNKNOWN_SUBSCRIPTION_ID,
        Refusal::UnknownCodec => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        Refusal::TooLarge => ErrorCode::TELEMETRY_TOO_LARGE,
    }
}

/// The code for metrics that are not handed on. Upon INVALID_RECORD a client gives up, so what may be smaller the next time
/// is TELEMETRY_TOO_LARGE.
pub fn of_push(error: &PushError) -> ErrorCode {
    match error {
        PushError::Refused(refusal) => of_client_metrics(*refusal),
        PushError::Expanded => ErrorCode::TELEMETRY_TOO_LARGE,
        PushError::Unpacked(_) | PushError::Malformed(_) => ErrorCode::INVALID_RECORD,
    }
}

/// The code where a member of a share group is refused.
pub fn of_delivery(error: share::partition::Error) -> ErrorCode {
    use share::partition::Error;
    match error {
        Error::InvalidRecordState => ErrorCode::INVALID_RECORD_STATE,
        Error::InvalidRequest => ErrorCode::INVALID_REQUEST,
        Error::Fenced => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        Error::CoordinatorNotAvailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        Error::UnknownTopicOrPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Error::Unexpected => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// The code of a refusal by a share coordinator.
pub fn of_share_state(error: share::state::Error) -> ErrorCode {
    use share::state::Error;
    match error {
        Error::NegativePartition
        | Error::GroupIdTooLong
        | Error::InvalidBatch
        | Error::WriteUninitialized
        | Error::ReadUninitialized => ErrorCode::INVALID_REQUEST,
        Error::FencedLeaderEpoch => ErrorCode::FENCED_LEADER_EPOCH,
        Error::FencedStateEpoch => ErrorCode::FENCED_STATE_EPOCH,
        Error::UnknownTopicOrPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Error::CoordinatorNotAvailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        Error::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        Error::RecordTooLarge => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// The code where a coordinator cannot be asked here.
pub fn of_unavailable(unavailable: Unavailable) -> ErrorCode {
    match unavailable {
        Unavailable::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        Unavailable::Loading => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_without_an_id_is_fatal_and_a_full_disk_is_retriable() {
        let nameless = of_replica(&replica::Error::Invalid(Invalid::WithoutTransactionalId));
        assert!(!nameless.is_retriable());
        let full = ottla_storage::Error::DiskFull { dir: "d".into(), free: 1, reserve: 2 };
        assert!(of_replica(&full.into()).is_retriable());
    }
}
