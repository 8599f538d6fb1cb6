//! What a broker's machine keeps when its process is gone.

use std::collections::BTreeMap;

use ottla_core::metadata::Image;
use ottla_core::{BrokerEpoch, DirectoryId, Offset};
use uuid::Uuid;

use crate::dice::Dice;
use crate::log::SimLog;
use crate::message::Tp;
use crate::raft::{Durable, NodeKey};

/// The disk of a broker, with what the kernel has not written to it yet.
#[derive(Debug, Default)]
pub struct Disk {
    /// How often it has been replaced.
    pub number: u32,
    /// The metadata log. What is appended to it is answered only once it is on the disk.
    pub raft: Durable,
    /// A snapshot of the metadata: how many entries it covers, and what they come to.
    pub snapshot: (usize, Image),
    /// The logs of partitions.
    pub logs: BTreeMap<Tp, SimLog>,
    /// High watermarks as last written down.
    pub watermarks: BTreeMap<Tp, Offset>,
    /// The mark of a clean stop: the uptime that ended with it.
    pub clean: Option<BrokerEpoch>,
    /// The boot of the kernel under which the last process began.
    pub booted: u64,
    /// A write was refused since: what the kernel shows may not be on the disk.
    pub failed: bool,
}

impl Disk {
    /// The identity of the log directory on it.
    pub fn directory(&self, broker: usize) -> DirectoryId {
        DirectoryId(Uuid::from_u128(((broker as u128 + 1) << 32) | (u128::from(self.number) + 1)))
    }

    /// The identity as a voter of the metadata log.
    pub fn key(&self, broker: usize) -> NodeKey {
        NodeKey { broker, disk: self.number }
    }

    /// The power went, or the disk refused to write.
    pub fn lose_unflushed(&mut self, dice: &mut Dice) {
        self.logs.values_mut().for_each(|log| log.lose_unflushed(dice));
    }

    /// An empty disk takes its place.
    pub fn replace(&mut self) {
        *self = Self { number: self.number + 1, ..Self::default() };
    }
}
