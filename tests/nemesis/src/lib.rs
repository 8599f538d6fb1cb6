//! Faults done to real broker processes under load, and the check of what the clients saw.
//!
//! [`process`] runs clusters, of Ottla or of Apache Kafka; benchmarks use it too.

pub mod checker;
pub mod history;
pub mod nemesis;
pub mod process;
pub mod report;
pub mod workload;
