//! What the leader of a partition wants done.

use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch};

/// An instruction to the driver of a partition. Effects of one call are performed in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The high watermark is now `to`: answer the acks=all produces that end at or below it and wake the consumers
    /// that wait for records below it.
    AdvanceHighWatermark {
        /// Offset of the first record consumers do not see.
        to: Offset,
    },
    /// Records up to `log_end` are readable by followers: wake their parked fetches.
    WakeFollowers {
        /// End of the leader's log.
        log_end: Offset,
    },
    /// Flush the leader's log as far as it reaches now, and say so by [`Leader::flushed`](super::Leader::flushed).
    Flush,
    /// Ask the controller for a new in-sync set (KIP-497). At most one is out at a time.
    ProposeIsr(IsrProposal),
    /// This broker leads no more: answer every waiting produce with NOT_LEADER_OR_FOLLOWER.
    FailProduces,
}

/// An AlterPartition request for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// The term it is made in.
    pub leader_epoch: LeaderEpoch,
    /// The state it builds on; the controller refuses it when that has moved on.
    pub partition_epoch: PartitionEpoch,
    /// The members wanted, ascending, each with the uptime it was seen in (KIP-903); −1 for the leader itself.
    pub members: Vec<(BrokerId, BrokerEpoch)>,
    /// Every one of them has flushed all that is committed, and will before more is.
    pub flushed: bool,
}
