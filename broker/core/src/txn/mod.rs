//! The transaction coordinator of one `__transaction_state` partition (KIP-98, KIP-890), as a pure machine: events in,
//! effects out, the state rebuilt from its records.
//!
//! It must not know wire versions, threads, the log, or where the partitions of a transaction are: the driver writes
//! their markers and reports them.

mod complete;
mod config;
mod coordinator;
mod end;
mod error;
mod event;
mod init;
mod partitions;
mod record;
mod report;
mod request;
#[cfg(test)]
mod tests;
mod transaction;

pub use config::Config;
pub use coordinator::Coordinator;
pub use error::Error;
pub use event::{Act, Effect, Event, Markers, Note, Request, Response};
pub use request::{AddPartitions, Described, End, InitProducerId, ListFilter, Listed, Verified};
pub use transaction::{TransactionState, TransactionVersion};
