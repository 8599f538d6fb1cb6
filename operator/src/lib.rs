//! The Ottla operator: the controllers of KafkaCluster and KafkaTopic, and the only writer to Kubernetes and to the
//! clusters.
//!
//! Each controller is a pipeline of the same verbs, one file each: observe, validate, plan, apply, status. It is
//! level-triggered: a pass looks at what is, does a bounded part of what is missing, and looks again. See
//! `operator/DESIGN.md`. Never links the broker.

mod backoff;
pub mod balance;
mod child;
mod cluster;
mod config;
mod context;
mod election;
mod error;
mod events;
mod fingerprint;
mod gather;
mod http;
mod identifier;
pub mod kafka;
mod metrics;
mod names;
pub mod process;
mod progress;
mod quantity;
mod run;
mod settings;
mod topic;
mod vigil;
mod wishes;

#[cfg(test)]
mod tests;

pub use config::{OperatorConfig, VERSION};
pub use election::LeaseName;
pub use run::{Error, run, run_with};
