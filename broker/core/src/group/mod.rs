//! The classic consumer-group coordinator of one `__consumer_offsets` partition, as a pure machine: events in,
//! effects out, the state rebuilt from its records.
//!
//! It must not know wire versions, threads or the log; which topics exist is the caller's to check.

mod config;
mod error;
mod event;
mod request;

pub use config::Config;
pub use error::{AppendError, Error};
pub use event::{AppendId, Effect, EncodedRecord, Event, Request, RequestId, Response};
pub use request::{
    Commit, Committed, DeleteOffsets, Described, DescribedMember, FetchOffsets, FetchedTopic, GroupState, Heartbeat,
    Join, Joined, JoinedGeneration, JoinedMember, Leave, LeftMember, ListFilter, Listed, MemberIdentity,
    PartitionCommit, PartitionResults, Protocol, Sync, Synced,
};
