//! What the fake was asked to change.

use super::*;

/// One change that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A topic was made.
    Create(NewTopic),
    /// A topic was grown to so many partitions.
    Grow(String, i32),
    /// Settings were changed.
    Config(ConfigOf, Vec<ConfigChange>),
    /// A topic was deleted.
    Delete(String),
    /// A broker was cordoned, or is so no longer.
    Cordon(BrokerId, bool),
    /// Clients outside are told these addresses of a broker.
    Advertise(BrokerId, String),
    /// A broker got a vote.
    AddVoter(BrokerId),
    /// A broker lost its vote.
    RemoveVoter(BrokerId),
    /// Partitions were reassigned.
    Reassign(Vec<Reassignment>),
    /// Replicas of a broker were sent to other disks of it.
    Shift(BrokerId, Vec<LogDirMove>),
    /// Preferred leaders were elected.
    Elect(Vec<(String, i32)>),
    /// A disk was retired.
    RetireDisk(BrokerId, String),
    /// A broker was unregistered.
    Unregister(BrokerId),
}
