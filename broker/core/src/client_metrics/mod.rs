//! Metrics that clients tell their broker (KIP-714): which are wanted of whom, how often, and which pushes are taken.
//!
//! Knows neither what the metrics say nor where they go: the broker hands on what [`Registry::push`] takes.

mod client;
mod instance;
mod registry;
mod subscription;
#[cfg(test)]
mod tests;

pub use client::{Attribute, Client};
pub use instance::{Push, Refusal};
pub use registry::{MAX_INSTANCES, Registry};
pub use subscription::{Invalid, Offer, check};
