//! A deterministic simulation of a whole cluster: the state machines of ottla-core as they are, around a modelled
//! world of network, disks, clocks, processes and clients. See `docs/simulation.md`.
//!
//! Nothing here reads a clock, a file or a random number: a seed decides everything, so a run can be repeated.
//! What is not core is a thin model: it must perform core's effects as the broker does, and decide nothing.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unreachable,
    reason = "a model of a few brokers: its numbers are small, and what cannot happen ends the run"
)]

mod admin;
mod clients;
mod controlling;
mod coverage;
mod dice;
mod directories;
mod disk;
mod faults;
mod fetching;
mod history;
mod leading;
mod life;
mod log;
mod machine;
mod message;
mod network;
mod plan;
mod publishing;
mod queue;
mod raft;
mod replica;
mod run;
mod trace;
mod truth;
mod world;

pub use coverage::Coverage;
pub use faults::Fault;
pub use plan::{Plan, TopicPlan};
pub use run::{Outcome, run};
pub use world::Violation;
