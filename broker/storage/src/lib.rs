//! The durable log of an Ottla broker: Kafka's on-disk layout, written and read with plain synchronous file calls.
//!
//! [`LogDir`] owns one `log.dirs` entry: its lock, identity, checkpoints, recovery and [`Flusher`] thread. [`Log`] is
//! the writer of one partition, kept behind the broker's lock of that partition; [`LogReader`] is its cheap shared
//! handle, which reads while the writer appends.
//!
//! This crate must not know Kafka's requests, use tokio or read a clock: time is an argument. It decodes records only to
//! clean compacted logs, which whoever drives it does with [`Clean`], away from the lock of the partition.

mod aborted;
mod cache;
mod checkpoint;
mod clean;
mod config;
mod dir;
mod error;
mod file;
mod flush;
mod index;
mod leader_epochs;
mod log;
mod meta_properties;
mod names;
mod offset_file;
mod producers;
mod read;
mod recovery;
mod retired;
mod scan;
mod segment;
mod shared;
mod space;
mod text_id;

pub use cache::FileCache;
pub use clean::{Clean, CleanLimits, CleanStats, Cleanable, CleanedSegment, Pace};
pub use config::{LogConfig, TimestampType};
pub use dir::{Identity, LoadOptions, LoadedLog, LogDir, LogDirOptions, PreviousStop, is_in_use};
pub use error::{Error, Result};
pub use file::FileSlice;
pub use flush::{FlushListener, Flushed};
pub use leader_epochs::EpochEntry;
pub use log::{AbortedTransaction, AppendInfo, DeletedSegments, Log, MarkerOf};
pub use meta_properties::{IdentityError, MetaProperties, check_distinct};
pub use ottla_core::partition::EpochEnd;
pub use producers::{ProducerError, ProducerSummary};
pub use read::{LogReader, TimestampHit};
pub use recovery::{Damage, Recovered};
pub use retired::put_aside;
pub use scan::Headers;
pub use space::DiskSpace;
pub use text_id::{decode as id_of_text, encode as id_text};
