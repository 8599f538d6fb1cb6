//! What clients asked and were answered, and what was done to the brokers, with the times of one monotonic clock.
//!
//! Knows nothing of brokers; a history can be written, read again and judged anywhere.

mod event;
mod recorder;
mod transaction;

pub use event::{
    Batch, Commit, Committed, Event, Fault, Latest, Micros, Outcome, Partition, Produce, Read, ReplicaLog, Run,
    Watermarks, Writer,
};
pub use recorder::{History, Recorder};
pub use transaction::{Append, Begun, Copied, Decision, End, Marker, Session, Transaction, Transactor, View};
