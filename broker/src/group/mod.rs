//! The group coordinators of this broker: one driver per led partition of `__consumer_offsets`.
//!
//! A driver loads its machine by replaying the partition, feeds it requests, time and the fate of its appends, and
//! performs its effects. It must decide nothing about groups: that is ottla-core's.

mod coordinators;
mod driver;
mod log;
mod replica_log;
mod settings;

pub use coordinators::{Coordinators, Unavailable, partition_of};
pub use log::{Appended, LoadError, OffsetsLog, Replay};
pub use replica_log::ReplicaLog;
pub use settings::settings;
