//! The replicas this broker holds: partitions, the manager that opens and closes them, and the append and read paths.
//!
//! The rules are the partition machine's of ottla-core; the files are ottla-storage's. What is here joins the two under
//! one lock a partition, and wakes whoever waits.

mod batch_check;
mod cleaner;
mod error;
pub mod fetcher;
mod isr;
mod manager;
mod partition;
mod recompress;
mod settings;
mod throttle;
mod times;
mod topics;
mod unpacking;
mod wait;
mod watch;

pub use batch_check::{Checked, Invalid, RecordError, check_batch, has_to_unpack};
pub use error::Error;
pub use isr::{Proposals, send_proposals, watch_lag};
pub use manager::{Directory, FutureReplica, Manager, MoveError};
pub use partition::{Consumer, Fetched, FollowerRead, Partition, Read, ReadLimits};
pub use settings::TopicSettings;
pub use throttle::{ThrottledReplicas, Throttles};
pub use times::{newest_record, record_since};
pub use topics::{LocalTopic, Topics};
pub use unpacking::Unpacking;
pub use wait::{FetchWait, Outcome, ProduceWait};
pub use watch::FollowerWatch;
