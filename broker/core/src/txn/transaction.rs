//! What is known of one transactional id, and the steps it takes: each makes the transaction as it will be once its
//! record is durable.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Producer;
use crate::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};

/// Where the last transaction of a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// There was none under this epoch.
    Empty,
    /// Partitions were added.
    Ongoing,
    /// It is to be committed: markers are being written.
    PrepareCommit,
    /// It is to be aborted: markers are being written.
    PrepareAbort,
    /// It was committed.
    CompleteCommit,
    /// It was aborted.
    CompleteAbort,
}

impl TransactionState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// Its number in a record.
    pub(super) fn code(self) -> i8 {
        match self {
            Self::Empty => 0,
            Self::Ongoing => 1,
            Self::PrepareCommit => 2,
            Self::PrepareAbort => 3,
            Self::CompleteCommit => 4,
            Self::CompleteAbort => 5,
        }
    }

    /// The name that tools show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether markers are being written, and of which kind: true commits.
    pub(super) fn preparing(self) -> Option<bool> {
        match self {
            Self::PrepareCommit => Some(true),
            Self::PrepareAbort => Some(false),
            _ => None,
        }
    }

    /// Whether the id may be forgotten when it is not used.
    pub(super) fn is_at_rest(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }
}

/// The rules that a client or the cluster follows: the feature `transaction.version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionVersion {
    /// Partitions are added before they are written to; the epoch stays from transaction to transaction. Also the
    /// feature's level 1, which changes only how records are stored.
    V1,
    /// The epoch is bumped by each end of a transaction, and partitions are added as they are written to (KIP-890).
    V2,
}

impl TransactionVersion {
    /// The feature's level, as records and markers have it.
    pub fn level(self) -> i16 {
        match self {
            Self::V1 => 0,
            Self::V2 => 2,
        }
    }

    /// The version of a feature level.
    pub fn of_level(level: i16) -> Self {
        if level >= 2 { Self::V2 } else { Self::V1 }
    }
}

/// What is stored of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) producer: Producer,
    /// The producer id before the last change of it; none before the first.
    pub(super) previous_id: ProducerId,
    /// The producer id that the end of this transaction brings, because the epochs of the present one are used up.
    pub(super) next_id: ProducerId,
    /// The epoch before the last bump that the producer itself asked for: a repeated request carries it. Not stored.
    pub(super) last_epoch: ProducerEpoch,
    pub(super) timeout: Duration,
    pub(super) state: TransactionState,
    /// The partitions that have records of the transaction, or, while it ends, no marker yet.
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) started: Timestamp,
    pub(super) updated: Timestamp,
    /// The rules by which the last step was taken.
    pub(super) version: TransactionVersion,
}

const NO_EPOCH: ProducerEpoch = ProducerEpoch(-1);

impl Transaction {
    /// A transactional id that was never used: its producer has no epoch yet.
    pub(super) fn new(id: ProducerId, timeout: Duration, now: Timestamp) -> Self {
        Self {
            producer: Producer { id, epoch: NO_EPOCH },
            previous_id: ProducerId::NONE,
            next_id: ProducerId::NONE,
            last_epoch: NO_EPOCH,
            timeout,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            started: Timestamp::NONE,
            updated: now,
            version: TransactionVersion::V1,
        }
    }

    /// Whether the id has no epoch yet.
    pub(super) fn is_new(&self) -> bool {
        self.producer.epoch == NO_EPOCH
    }

    /// A producer begins: as `producer`, in place of the one in `last_epoch`.
    pub(super) fn begun(
        &self,
        producer: Producer,
        last_epoch: ProducerEpoch,
        timeout: Duration,
        now: Timestamp,
    ) -> Self {
        Self {
            producer,
            previous_id: self.producer.id,
            last_epoch,
            timeout,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            started: Timestamp::NONE,
            updated: now,
            ..self.clone()
        }
    }

    /// Partitions are added; the first ones begin a transaction.
    pub(super) fn joined_by(
        &self,
        partitions: &BTreeSet<TopicPartition>,
        version: TransactionVersion,
        now: Timestamp,
    ) -> Self {
        let mut next = self.clone();
        next.previous_id = self.producer.id;
        next.partitions.extend(partitions.iter().cloned());
        if self.state != TransactionState::Ongoing {
            next.started = now;
        }
        next.state = TransactionState::Ongoing;
        next.updated = now;
        next.version = version;
        next
    }

    /// The end is decided. With version 2 the epoch is bumped, so that no record of before can come after the marker;
    /// `next_id` takes over where that uses up the epochs.
    pub(super) fn prepared(
        &self,
        commit: bool,
        version: TransactionVersion,
        next_id: Option<ProducerId>,
        now: Timestamp,
    ) -> Self {
        let mut next = self.clone();
        next.previous_id = self.producer.id;
        next.next_id = next_id.unwrap_or(ProducerId::NONE);
        if version == TransactionVersion::V2 {
            next.last_epoch = self.producer.epoch;
            next.producer = self.producer.bumped();
        }
        if self.state != TransactionState::Ongoing {
            next.started = now;
        }
        next.state = if commit { TransactionState::PrepareCommit } else { TransactionState::PrepareAbort };
        next.updated = now;
        next.version = version;
        next
    }

    /// The end is decided by the coordinator, whose abort fences the producer: its epoch is behind whatever follows.
    pub(super) fn fenced(&self, version: TransactionVersion, now: Timestamp) -> Self {
        let aborted = self.prepared(false, version, None, now);
        Self { producer: self.producer.bumped(), last_epoch: NO_EPOCH, ..aborted }
    }

    /// Every marker is written.
    pub(super) fn completed(&self, now: Timestamp) -> Self {
        let state = match self.state.preparing() {
            Some(true) => TransactionState::CompleteCommit,
            _ => TransactionState::CompleteAbort,
        };
        Self {
            producer: self.successor(),
            previous_id: self.producer.id,
            next_id: ProducerId::NONE,
            state,
            partitions: BTreeSet::new(),
            updated: now,
            ..self.clone()
        }
    }

    /// What the producer is once the transaction has ended.
    pub(super) fn successor(&self) -> Producer {
        match self.next_id {
            ProducerId::NONE => self.producer,
            id => Producer { id, epoch: ProducerEpoch(0) },
        }
    }
}
