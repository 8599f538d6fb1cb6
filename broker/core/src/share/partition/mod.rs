//! What the leader of a partition keeps of one share group (KIP-932), as a pure machine: which records are free to be given
//! out, who has which for how long, and what was said of them.
//!
//! It must not read the log, wait for the coordinator or know of connections: reads come in, writes and answers go out.

mod acknowledge;
mod acknowledgement;
mod acquire;
mod config;
mod error;
mod machine;
mod run;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use acknowledgement::{Acknowledgement, Tally};
pub use acquire::{Acquire, Acquired, Extent, Reach};
pub use config::Config;
pub use error::Error;
pub use machine::{Effect, SharePartition};
