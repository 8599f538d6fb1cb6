//! The share coordinator of one `__share_group_state` partition (KIP-932), as a pure machine: events in, effects out, the
//! state rebuilt from its records.
//!
//! It keeps what the leaders of partitions have it write, and refuses those of an earlier term or of an earlier beginning of
//! the group. It must not know what the records are delivered to, nor who leads.

mod config;
mod coordinator;
mod decide;
mod error;
mod event;
mod record;
mod stored;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use coordinator::Coordinator;
pub use error::Error;
pub use event::{Effect, Event, Note, Request, Response, State, Summary, Write};
