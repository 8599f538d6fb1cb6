//! Faults done to real broker processes under load, and the check of what the clients saw.
//!
//! [`process`] runs clusters, of Ottla or of Apache Kafka; benchmarks use it too. [`compaction`] kills a broker in the midst
//! of cleans, [`group`] restarts the members of a consumer group, [`soak`] lets
//! brokers work for hours.

pub mod checker;
pub mod compaction;
pub mod group;
pub mod history;
pub mod nemesis;
pub mod process;
pub mod report;
pub mod soak;
pub mod workload;
