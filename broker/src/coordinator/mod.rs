//! The coordinators of this broker: one driver per led partition of a coordinators' topic.
//!
//! A driver loads its machine by replaying the partition, feeds it requests, time and the fate of its appends, and
//! performs its effects. It must decide nothing and know nothing of what is coordinated: that is ottla-core's.

mod coordinators;
mod driver;
mod handover;
mod log;
mod replica_log;
mod topic;

pub use coordinators::{Coordinators, Unavailable, partition_of};
pub use driver::{Actor, Idle, Notes};
pub use handover::{Handover, Job, Jobs};
pub use log::{Appended, CoordinatorLog, LoadError, Replay};
pub use replica_log::ReplicaLog;
pub use topic::with_topic;
