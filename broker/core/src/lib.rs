//! The rules of an Ottla cluster as pure state machines: partition leader and follower, metadata image,
//! controller decisions, group coordinator, share partitions, configuration definitions, event loops of connections.
//!
//! This crate must not do I/O, read a clock or draw random numbers: time enters as [`Now`], identifiers arrive in
//! events, and what has to happen leaves as effects.

pub mod client_metrics;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod group;
pub mod ids;
pub mod loops;
pub mod metadata;
pub mod mutant;
pub mod partition;
mod pattern;
pub mod quota;
pub mod share;
pub mod throttle;
pub mod time;
pub mod txn;

pub use ids::{
    BrokerEpoch, BrokerId, ControllerEpoch, DirectoryId, LeaderEpoch, LogIndex, Offset, PartitionEpoch, Producer,
    ProducerEpoch, ProducerId, StateEpoch, TopicId, TopicName, TopicPartition,
};
pub use time::{Now, Timestamp};
