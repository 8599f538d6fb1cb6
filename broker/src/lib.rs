//! The broker: the tokio shell around the rules of ottla-core and the logs of ottla-storage.
//!
//! Must hold no rules of its own.

pub mod admin;
mod allocator;
pub mod api;
pub mod broker;
pub mod client_metrics;
pub mod clock;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod group;
pub mod net;
pub mod node;
pub mod process;
pub mod quota;
pub mod replica;
pub mod share;
pub mod telemetry;
pub mod txn;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
