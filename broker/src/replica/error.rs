//! Why a replica does not do what it is asked.

use ottla_core::{BrokerId, LeaderEpoch, Offset, partition};

use super::Invalid;

/// The failures of appends and reads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No replica of this partition is here, and none is known elsewhere.
    #[error("the partition is unknown")]
    UnknownPartition,
    /// The topic id is unknown.
    #[error("the topic id is unknown")]
    UnknownTopicId,
    /// Another broker leads, or nobody.
    #[error("the leader is broker {leader} since epoch {epoch}")]
    NotLeader {
        /// Who leads; −1 for nobody.
        leader: BrokerId,
        /// Since when.
        epoch: LeaderEpoch,
    },
    /// This broker leads the partition, but its log is damaged or its directory has failed.
    #[error("the log of the partition cannot be served")]
    NotServed,
    /// A broker takes itself for a follower, in a term that is not known here to have it as one.
    #[error("broker {broker} is no replica of the partition in epoch {epoch}")]
    NotReplica {
        /// Who fetched.
        broker: BrokerId,
        /// The term it named.
        epoch: LeaderEpoch,
    },
    /// The partition machine refuses.
    #[error(transparent)]
    Refused(#[from] partition::Refusal),
    /// The batch is not one that may be stored.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The offset is beyond what may be read or deleted.
    #[error("offset {requested} is not within [{start}, {end}]")]
    OffsetOutOfRange {
        /// What was asked for.
        requested: Offset,
        /// The log start offset.
        start: Offset,
        /// The end that counts for whoever asks.
        end: Offset,
    },
    /// The leader is new and does not know yet what is committed.
    #[error("the high watermark has not reached the start of the leader's term")]
    OffsetNotAvailable,
    /// The log directory of the replica has failed, or is not there.
    #[error("the log directory of the replica is offline")]
    Offline,
    /// The log is damaged and not served.
    #[error(transparent)]
    Damaged(ottla_storage::Damage),
    /// The log says no.
    #[error(transparent)]
    Storage(ottla_storage::Error),
}

impl From<ottla_storage::Error> for Error {
    fn from(error: ottla_storage::Error) -> Self {
        match error {
            ottla_storage::Error::OffsetOutOfRange { requested, start, end } => {
                Self::OffsetOutOfRange { requested, start, end }
            }
            other => Self::Storage(other),
        }
    }
}
