//! Why the coordinator refuses a request. Each variant has the name of one Kafka error code.

use crate::coordinator::AppendError;

/// A refusal of the group coordinator; the broker's API layer gives it the code of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The records could not be made durable in time, or too few replicas are in sync.
    #[error("the group coordinator is not available")]
    CoordinatorNotAvailable,
    /// This broker no longer coordinates the group.
    #[error("this broker is not the coordinator of the group")]
    NotCoordinator,
    /// The group id is empty, or too long to be stored.
    #[error("the group id is invalid")]
    InvalidGroupId,
    /// No such group.
    #[error("the group does not exist")]
    GroupIdNotFound,
    /// The group has members.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// The group already has `group.max.size` members.
    #[error("the group is full")]
    GroupMaxSizeReached,
    /// The member is not (or no longer) in the group.
    #[error("the member is not in the group")]
    UnknownMemberId,
    /// The member must join again with the id it is now given (KIP-394).
    #[error("the member has to join with the id it was given")]
    MemberIdRequired,
    /// Another member has taken over the static instance id (KIP-345).
    #[error("the static member was replaced by another one")]
    FencedInstanceId,
    /// The generation is not the group's.
    #[error("the generation is not the current one")]
    IllegalGeneration,
    /// The group is between generations: join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// No protocol in common with the group, another protocol type, or none at all.
    #[error("the protocols do not fit those of the group")]
    InconsistentGroupProtocol,
    /// The session timeout is out of the configured range.
    #[error("the session timeout is out of range")]
    InvalidSessionTimeout,
    /// The offsets of a topic that the group consumes cannot be deleted.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// The metadata string is longer than `offset.metadata.max.bytes`.
    #[error("the metadata of the offset is too long")]
    OffsetMetadataTooLarge,
    /// The records of the commit do not fit a batch of the offsets topic.
    #[error("the commit is too large for the offsets topic")]
    InvalidCommitOffsetSize,
    /// An offset is part of a transaction that has not ended yet: ask again (KIP-447).
    #[error("the offset is part of an open transaction")]
    UnstableOffsetCommit,
    /// A newer instance of the transactional producer has written.
    #[error("the producer's epoch is not the newest")]
    InvalidProducerEpoch,
    /// The transaction has ended since it was verified (KIP-890).
    #[error("the transaction is not known to be open")]
    InvalidTxnState,
    /// A field of the request is not valid.
    #[error("the request is not valid")]
    InvalidRequest,
    /// The member's epoch is not the one the coordinator knows: it has to give up everything and join again (KIP-848).
    #[error("the member's epoch is not the one that is known")]
    FencedMemberEpoch,
    /// The epoch with which offsets are committed or fetched is not the member's (KIP-848).
    #[error("the member's epoch is not the newest")]
    StaleMemberEpoch,
    /// Another member has the static instance id and has not left (KIP-848).
    #[error("the instance id is still in use")]
    UnreleasedInstanceId,
    /// The coordinator has no assignor of that name (KIP-848).
    #[error("the assignor is not known")]
    UnsupportedAssignor,
    /// The pattern cannot be compiled (KIP-848).
    #[error("the regular expression is not valid")]
    InvalidRegularExpression,
    /// There is no such topic or partition, or nothing of it that could be deleted.
    #[error("the topic or partition is not known")]
    UnknownTopicOrPartition,
    /// The share coordinator of a partition is not loaded yet (KIP-932).
    #[error("the share coordinator is being loaded")]
    CoordinatorLoadInProgress,
    /// The state of a partition was made in a later epoch of the share group (KIP-932).
    #[error("the state epoch is not the newest")]
    FencedStateEpoch,
    /// The topology of an application of Kafka Streams makes no sense (KIP-1071).
    #[error("the topology is not valid")]
    StreamsInvalidTopology,
    /// The request has to be made in a newer version.
    #[error("the version is too old for this group")]
    UnsupportedVersion,
    /// The records of the group do not fit a batch of the offsets topic.
    #[error("the group is too large for the offsets topic")]
    UnknownServerError,
}

impl AppendError {
    /// What a group operation answers.
    pub(super) fn for_group(self) -> Error {
        match self {
            Self::NotEnoughReplicas => Error::CoordinatorNotAvailable,
            Self::NotLeader => Error::NotCoordinator,
            Self::TooLarge => Error::UnknownServerError,
            Self::InvalidProducerEpoch => Error::InvalidProducerEpoch,
            Self::NotVerified => Error::InvalidTxnState,
        }
    }

    /// What an offset commit answers.
    pub(super) fn for_commit(self) -> Error {
        match self {
            Self::TooLarge => Error::InvalidCommitOffsetSize,
            other => other.for_group(),
        }
    }
}
