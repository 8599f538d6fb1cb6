//! A replica in a running process: the machine of its role, and who waits for it.

use ottla_core::Offset;
use ottla_core::metadata::{Image, Resource};
use ottla_core::partition::{Durability, Follower, FollowerLog, Leader, LogPosition, Settings};

use crate::log::{Batch, SimLog};

/// Who the replica is.
#[derive(Debug)]
pub enum Role {
    /// It leads.
    Leader(Box<Leader>),
    /// It follows, perhaps nobody.
    Follower(Box<Follower>),
}

/// A produce whose reply waits for the watermark.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The client's request.
    pub request: u64,
    /// The batch.
    pub batch: Batch,
}

/// A replica.
#[derive(Debug)]
pub struct Replica {
    /// Its role.
    pub role: Role,
    /// The last high watermark known here.
    pub high_watermark: Offset,
    /// The topic's settings as of the image that was made this broker's own.
    pub settings: Settings,
    /// Produces that wait.
    pub waiting: Vec<Waiting>,
}

impl Replica {
    /// The machine, if it leads.
    pub fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) => None,
        }
    }
}

/// How far a log reaches.
pub fn position(log: &SimLog) -> LogPosition {
    LogPosition { end: log.end(), flushed: log.flushed() }
}

/// A log as its follower machine sees it.
pub fn follower_log(log: &SimLog) -> FollowerLog {
    FollowerLog { start: Offset::ZERO, position: position(log), last_epoch: log.last_epoch() }
}

/// The settings of `topic` in `image`.
pub fn settings(image: &Image, topic: &str) -> Settings {
    let value = image.config_value(&Resource::topic(topic), "ottla.durability");
    let durability = if value == Some("replicated") { Durability::Replicated } else { Durability::Fsync };
    Settings { durability, min_isr: image.min_isr(topic, 1) }
}
