//! The failures of a log, each a case of its own for whoever maps it to a Kafka error code.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_core::{Offset, TopicPartition};

use crate::ProducerError;

/// The result of most calls of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call on a log or a log directory failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file call failed. On the write path it has already taken the directory offline.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The directory failed earlier and stays offline until a restart (KAFKA_STORAGE_ERROR).
    #[error("log directory {} is offline: {reason}", dir.display())]
    Offline {
        /// The log directory.
        dir: PathBuf,
        /// The first failure.
        reason: Arc<str>,
    },
    /// Taking these bytes would eat into the free-space reserve. Retriable: it passes when space is freed.
    #[error("log directory {} is nearly full: {free} bytes free, {reserve} kept in reserve", dir.display())]
    DiskFull {
        /// The log directory.
        dir: PathBuf,
        /// Bytes free when last looked at.
        free: u64,
        /// Bytes that producers may not use.
        reserve: u64,
    },
    /// The offset asked for is not in the log.
    #[error("offset {requested} is not within [{start}, {end}]")]
    OffsetOutOfRange {
        /// The offset asked for.
        requested: Offset,
        /// The log start offset.
        start: Offset,
        /// The log end offset.
        end: Offset,
    },
    /// The bytes are not a whole valid batch.
    #[error(transparent)]
    Batch(#[from] ottla_records::Error),
    /// A batch larger than `segment.bytes` fits in no segment.
    #[error("a batch of {size} bytes does not fit a segment of {limit} bytes")]
    BatchTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// `segment.bytes`.
        limit: u32,
    },
    /// A follower was given a batch that does not continue its log.
    #[error("a batch at offset {actual} does not continue a log that ends at {expected}")]
    UnexpectedOffset {
        /// The log end offset.
        expected: Offset,
        /// First offset of the batch.
        actual: Offset,
    },
    /// The idempotent producer's epoch or sequence is refused.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// What lies on disk is not what was flushed there.
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// Whoever drives a clean wants it to end.
    #[error("the clean was called off")]
    CalledOff,
    /// The log has been cut, moved or deleted since the clean began: another may succeed.
    #[error("the log has changed while it was cleaned")]
    CleanVoid,
    /// Not even one batch's keys fit the table that a clean may use.
    #[error(
        "a table of {bytes} bytes (log.cleaner.dedupe.buffer.size) is full with {keys} keys before the first batch ends"
    )]
    DedupeBufferTooSmall {
        /// Bytes of the table.
        bytes: usize,
        /// Keys in it.
        keys: usize,
    },
    /// The log has been deleted.
    #[error("the log of {0} has been deleted")]
    Deleted(TopicPartition),
    /// The folder of the partition is there already.
    #[error("the log of {0} already exists")]
    Exists(TopicPartition),
    /// Another process works in this directory (exit code 3).
    #[error("log directory {} is locked by another process", dir.display())]
    Locked {
        /// The log directory.
        dir: PathBuf,
    },
    /// The directory belongs to another cluster or node (exit code 3).
    #[error(transparent)]
    Identity(#[from] crate::IdentityError),
}

impl Error {
    /// Whether the same may well succeed later, without anybody doing anything about this log.
    pub fn is_passing(&self) -> bool {
        let is_of_others =
            matches!(self, Self::DiskFull { .. } | Self::Offline { .. } | Self::Deleted(_) | Self::CleanVoid);
        is_of_others || self.is_out_of_files()
    }

    /// The process or the system has no file descriptor left: it passes, and says nothing of the disk.
    pub(crate) fn is_out_of_files(&self) -> bool {
        use rustix::io::Errno;
        let errno = |e: &io::Error| e.raw_os_error().map(Errno::from_raw_os_error);
        matches!(self, Self::Io { source, .. } if matches!(errno(source), Some(Errno::MFILE | Errno::NFILE)))
    }
}

/// Wraps an I/O error with what was tried.
pub(crate) fn io_error<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
    move |source| Error::Io { operation, path: path.to_owned(), source: source.into() }
}
