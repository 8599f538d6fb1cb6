//! The broker: the tokio shell around the rules of ottla-core and the logs of ottla-storage.
//!
//! Must hold no rules of its own.

pub mod config;
pub mod telemetry;
