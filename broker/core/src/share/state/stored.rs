//! What is kept of one share partition, and how a record changes it.

use super::{State, Summary};
use crate::share::{StateBatch, combine};
use crate::{LeaderEpoch, Offset, StateEpoch, Timestamp};

/// A share partition as of some record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Which snapshot this goes back to.
    pub(super) snapshot_epoch: i32,
    pub(super) state_epoch: StateEpoch,
    pub(super) leader_epoch: LeaderEpoch,
    /// None until a leader says.
    pub(super) start: Option<Offset>,
    pub(super) complete: Option<u32>,
    /// In the order of their offsets, none below the start.
    pub(super) batches: Vec<StateBatch>,
    /// When what is in here was written by a leader or a group coordinator.
    pub(super) created: Timestamp,
    /// When the snapshot was written; later if it was only written anew.
    pub(super) written: Timestamp,
}

/// What is added to a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) snapshot_epoch: i32,
    /// −1 for no change.
    pub(super) leader_epoch: LeaderEpoch,
    /// None for no change.
    pub(super) start: Option<Offset>,
    pub(super) complete: Option<u32>,
    pub(super) batches: Vec<StateBatch>,
}

/// What a record says of a share partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// All of it.
    Snapshot(Stored),
    /// What has changed.
    Update(Update),
    /// That nothing is kept of it any more.
    Forget,
}

impl Stored {
    /// This with `update`.
    pub(super) fn updated(&self, update: &Update) -> Self {
        let start = update.start.or(self.start);
        Self {
            leader_epoch: if update.leader_epoch == LeaderEpoch::NONE {
                self.leader_epoch
            } else {
                update.leader_epoch
            },
            start,
            complete: update.complete,
            batches: self.with(&update.batches, start),
            ..self.clone()
        }
    }

    /// Its batches and those that are `new`, from `start` on.
    pub(super) fn with(&self, new: &[StateBatch], start: Option<Offset>) -> Vec<StateBatch> {
        combine(self.batches.iter().chain(new).copied(), start.unwrap_or(Offset::ZERO))
    }

    pub(super) fn state(&self) -> State {
        State { state_epoch: self.state_epoch, start: self.start, batches: self.batches.clone() }
    }

    pub(super) fn summary(&self) -> Summary {
        let Self { state_epoch, leader_epoch, start, complete, .. } = *self;
        Summary { state_epoch, leader_epoch, start, complete }
    }
}
