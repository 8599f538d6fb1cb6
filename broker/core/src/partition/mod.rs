//! A partition as its leader sees it: who is in sync, how far the high watermark is, what an append may do; and as a
//! follower does: what to fetch, where to truncate.
//!
//! Pure machines. The driver tells them what happened to the log and on the wire, performs the effects it gets back, and
//! keeps the parked requests themselves; the machines must not know of connections or files.

mod acks;
mod effect;
mod follower;
mod leader;
mod replica;
mod term;

pub use acks::RequiredAcks;
pub use effect::{Effect, IsrProposal};
pub use follower::{Answer, EpochEnd, Follower, FollowerEffect, FollowerLog, FollowerTerm, NextFetch, common_end};
pub use leader::Leader;
pub use replica::{FollowerFetch, LogPosition};
pub use term::{LeaderTerm, Refusal, check_epoch};

/// When a record counts as written on a replica: the topic's `ottla.durability`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is flushed to the disk. The watermark is the least flushed offset over the maximal ISR.
    #[default]
    Fsync,
    /// When it is in the replica's page cache, as in Kafka. The watermark is the least log end.
    Replicated,
}

/// The settings of a partition that its leader heeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `ottla.durability`.
    pub durability: Durability,
    /// `min.insync.replicas`; taken as the number of replicas that stay where it is larger than that.
    pub min_isr: usize,
}

#[cfg(test)]
mod tests;
