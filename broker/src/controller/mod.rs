//! The metadata of the cluster, at work: the log that holds it, the controller that decides on it, and what this broker
//! does about it.
//!
//! ```text
//! submit → driver (on the leader of the log: decide, propose) → MetadataLog (commit, apply) → publisher → replicas, watchers
//!    └─ where another node leads: remote → its rpc → its driver; this node's publisher follows the log all the same
//! life (this broker's heartbeats) → rpc → sessions (where the log is led: who lives, whom to fence)
//! ```
//!
//! The rules are those of [`ottla_core::controller`]. A command is answered once its records are committed and this
//! broker has done what they ask of it, so a topic is usable when its creation is answered.

mod balance;
mod driver;
mod handle;
mod life;
pub mod listener;
mod log;
pub mod peers;
mod proto;
mod publisher;
pub mod quorum;
mod registration;
mod remote;
mod rpc;
mod service;
mod sessions;

#[cfg(test)]
mod life_tests;
#[cfg(test)]
mod tests;

pub use driver::Driver;
pub use handle::{ControllerHandle, SubmitError};
pub use life::Life;
pub use listener::{ControllerListener, ListenError, Services, Token};
pub use log::{MetadataLog, Outcome, ProposeError, Role};
pub use peers::{Peer, Peers};
pub use publisher::{Publisher, Replicas};
pub use registration::{Uptime, register};
pub use service::{Options, Service, StartError, new_cluster_id};
