//! The classic consumer-group coordinator of one `__consumer_offsets` partition, as a pure machine: events in,
//! effects out, the state rebuilt from its records.
//!
//! It must not know wire versions, threads or the log; which topics exist is the caller's to check.

mod admin;
mod config;
mod context;
mod coordinator;
mod error;
mod event;
mod join;
mod leave;
mod member;
mod offsets;
mod rebalance;
mod record;
mod request;
mod state;
mod subscription;
mod sync;
mod timers;
mod transactions;

pub use config::Config;
pub use coordinator::Coordinator;
pub use error::Error;
pub use event::{Effect, Event, Note, Request, Response};
pub use request::{
    Commit, Committed, DeleteOffsets, Described, DescribedMember, FetchOffsets, FetchedTopic, GroupState, Heartbeat,
    Join, Joined, JoinedGeneration, JoinedMember, Leave, LeftMember, ListFilter, Listed, MemberIdentity,
    PartitionCommit, PartitionResults, Protocol, Sync, Synced,
};
