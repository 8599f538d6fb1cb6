//! What clients asked and were answered, and what was done to the brokers, with the times of one monotonic clock.
//!
//! Knows nothing of brokers; a history can be written, read again and judged anywhere.

mod event;
mod recorder;

pub use event::{
    Batch, Commit, Committed, Event, Fault, Latest, Micros, Outcome, Partition, Produce, Read, ReplicaLog, Run,
    Watermarks, Writer,
};
pub use recorder::{History, Recorder};
