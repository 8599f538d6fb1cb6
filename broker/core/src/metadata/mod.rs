//! What the cluster is: the records of the metadata log, the image they add up to, and what a change of image means
//! for one broker.
//!
//! Every broker applies the same records in the same order and so holds the same image. Nothing here decides
//! anything (that is [`crate::controller`]) and nothing here does I/O.

mod broker;
mod delta;
mod image;
mod invariants;
mod partition;
mod record;
mod resource;
mod shards;
mod snapshot;
mod topics;
mod wire;

pub use broker::{Address, Broker, Endpoint, FeatureRange, SecurityProtocol};
pub use delta::{LocalChanges, LocalPartition, RemovedPartition, local_changes};
pub use image::{ApplyError, Controller, Image};
pub use invariants::Violation;
pub use partition::{LeaderRecovery, Partition, PartitionChange, Replica, effective_min_isr};
pub use record::{BrokerChange, Entry, Record};
pub use resource::{Resource, ResourceKind};
pub use topics::{Topic, Topics};
pub use wire::DecodeError;
