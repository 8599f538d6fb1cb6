//! A term of leadership, and who is refused in it.

use crate::ids::{BrokerId, LeaderEpoch, PartitionEpoch};
use crate::metadata::Partition;
use crate::mutant::{self, Mutant};

/// One term of leadership as the controller committed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderTerm {
    /// This broker.
    pub leader: BrokerId,
    /// The term.
    pub leader_epoch: LeaderEpoch,
    /// The version of the partition's state.
    pub partition_epoch: PartitionEpoch,
    /// All replicas, the leader among them.
    pub replicas: Vec<BrokerId>,
    /// How many of them stay once the move under way, if any, has ended.
    pub targets: usize,
    /// The in-sync replicas, the leader among them.
    pub isr: Vec<BrokerId>,
    /// The controller waits to hear that they have flushed what is committed: [`Partition::unflushed`].
    pub unflushed: bool,
}

impl LeaderTerm {
    /// What the controller's `state` of a partition says to its leader.
    pub fn new(leader: BrokerId, state: &Partition) -> Self {
        Self {
            leader,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            replicas: state.brokers().collect(),
            targets: state.target().count(),
            isr: state.isr.clone(),
            unflushed: state.unflushed,
        }
    }
}

/// Why the leader does not take an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// acks=all needs more in-sync replicas than there are.
    #[error("{isr} replicas are in sync, min.insync.replicas is {min_isr}")]
    NotEnoughReplicas {
        /// Size of the in-sync set.
        isr: usize,
        /// What is required.
        min_isr: usize,
    },
    /// The client named an older term than this one.
    #[error("the leader epoch {given} is older than {current}")]
    FencedLeaderEpoch {
        /// What the client believes.
        given: LeaderEpoch,
        /// What holds.
        current: LeaderEpoch,
    },
    /// The client named a newer term than this broker has heard of.
    #[error("the leader epoch {given} is not known here yet; it is {current}")]
    UnknownLeaderEpoch {
        /// What the client believes.
        given: LeaderEpoch,
        /// What holds.
        current: LeaderEpoch,
    },
}

/// Checks the term that a client believes in against the `current` one (KIP-320); −1 means that it does not say.
pub fn check_epoch(given: LeaderEpoch, current: LeaderEpoch) -> Result<(), Refusal> {
    match given {
        LeaderEpoch::NONE => Ok(()),
        _ if mutant::is(Mutant::FetchOfAnyEpoch) => Ok(()),
        _ if given < current => Err(Refusal::FencedLeaderEpoch { given, current }),
        _ if given > current => Err(Refusal::UnknownLeaderEpoch { given, current }),
        _ => Ok(()),
    }
}
