//! What the writer of a log, its readers and the flusher share, and what all logs of a directory share.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ottla_core::TopicPartition;
use parking_lot::RwLock;

use crate::cache::FileCache;
use crate::error::io_error;
use crate::flush::{FlushListener, FlushMarks, FlushQueue, Helpers};
use crate::offset_file::OffsetFile;
use crate::segment::Segment;
use crate::space::DiskSpace;
use crate::{Error, Result};

/// What the logs of one directory share.
pub(crate) struct DirShared {
    pub(crate) path: PathBuf,
    /// The folder itself, held open so that a failed write-back is reported to `syncfs`.
    pub(crate) root: File,
    pub(crate) cache: Arc<FileCache>,
    pub(crate) space: DiskSpace,
    pub(crate) queue: FlushQueue,
    pub(crate) marks: FlushMarks,
    pub(crate) helpers: Helpers,
    pub(crate) listener: Arc<dyn FlushListener>,
    /// A partition's folder was made and its entry in the directory is not synced yet.
    pub(crate) entries_dirty: AtomicBool,
    /// The high watermarks.
    pub(crate) watermarks: OffsetFile,
    /// How far each log has been cleaned.
    pub(crate) cleaned: OffsetFile,
    failure: OnceLock<Arc<str>>,
}

/// The file of high watermarks.
pub(crate) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// The file that says how far each log has been cleaned.
pub(crate) const CLEANED: &str = "cleaner-offset-checkpoint";

impl DirShared {
    pub(crate) fn new(
        path: PathBuf,
        cache: Arc<FileCache>,
        reserve: u64,
        marks: FlushMarks,
        listener: Arc<dyn FlushListener>,
    ) -> Result<Self> {
        let root = File::open(&path).map_err(io_error("open", &path))?;
        let space = DiskSpace::new(&path, reserve);
        let (queue, helpers) = (FlushQueue::default(), Helpers::default());
        let (entries_dirty, failure) = (AtomicBool::new(false), OnceLock::new());
        let (watermarks, cleaned) = (OffsetFile::new(&path, HIGH_WATERMARKS), OffsetFile::new(&path, CLEANED));
        Ok(Self {
            path,
            root,
            cache,
            space,
            queue,
            marks,
            helpers,
            listener,
            entries_dirty,
            watermarks,
            cleaned,
            failure,
        })
    }

    /// An error if the directory is offline.
    pub(crate) fn check_online(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(reason) => Err(Error::Offline { dir: self.path.clone(), reason: Arc::clone(reason) }),
        }
    }

    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.failure.get().cloned()
    }

    /// Takes the directory offline for good; the first reason counts.
    pub(crate) fn fail(&self, reason: &str) {
        if self.failure.set(reason.into()).is_ok() {
            tracing::error!(dir = %self.path.display(), reason, "log directory is offline");
            crate::dir::distrust(&self.path);
            self.listener.on_directory_failed(&self.path, reason);
        }
    }

    /// Decides what a failed write means: a full disk passes, anything else takes the directory offline.
    pub(crate) fn write_failed(&self, error: Error) -> Error {
        let Error::Io { source, .. } = &error else { return error };
        if error.is_out_of_files() {
            return error;
        }
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(source.kind(), StorageFull | QuotaExceeded) {
            self.space.look();
            return self.space.full();
        }
        self.fail(&error.to_string());
        error
    }
}

/// A segment and how many bytes of it are published.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) segment: Arc<Segment>,
    pub(crate) size: u64,
}

/// The published state of a log. Never empty of segments; the last one is the active one.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) segments: Vec<Slot>,
    /// Raised by each truncation and each clean, so that a flush under way does not publish what it cut, nor what it did
    /// not find any more.
    pub(crate) generation: u32,
}

impl View {
    /// Index of the segment that holds `offset`, or of the first one if it lies before all.
    pub(crate) fn segment_of(&self, offset: i64) -> usize {
        self.segments.partition_point(|s| s.segment.base <= offset).saturating_sub(1)
    }

    /// Offset after the last one that segment `n` may hold.
    pub(crate) fn segment_end(&self, n: usize) -> i64 {
        self.segments.get(n + 1).map_or(self.end, |next| next.segment.base)
    }
}

/// What the writer, the readers and the flusher of one log share.
pub(crate) struct LogShared {
    pub(crate) partition: TopicPartition,
    /// The number that the broker knows this log by.
    pub(crate) handle: AtomicU64,
    pub(crate) dir: Arc<DirShared>,
    pub(crate) folder: Arc<Path>,
    pub(crate) view: RwLock<View>,
    /// Everything below is on disk.
    pub(crate) flushed: AtomicI64,
    /// Slot of this log in the flush marks; −1 before its first flush.
    pub(crate) mark: AtomicI64,
    /// `index.interval.bytes`, for readers that must build an index.
    pub(crate) index_interval: AtomicU64,
    /// Everything below has been cleaned.
    pub(crate) cleaned: AtomicI64,
    /// Offsets may have gaps, and the folder says so.
    pub(crate) has_gaps: AtomicBool,
    pub(crate) queued: AtomicBool,
    /// A file was made or replaced in the folder and is not synced yet: a segment, or the epoch checkpoint.
    pub(crate) entries_dirty: AtomicBool,
    pub(crate) deleted: AtomicBool,
}

impl LogShared {
    pub(crate) fn request_flush(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.dir.queue.push(Arc::clone(self));
        }
    }

    pub(crate) fn interval(&self) -> u32 {
        self.index_interval.load(Ordering::Relaxed) as u32
    }

    pub(crate) fn check_usable(&self) -> Result<()> {
        if self.deleted.load(Ordering::Acquire) {
            return Err(Error::Deleted(self.partition.clone()));
        }
        self.dir.check_online()
    }

    /// What a failed write to the log's folder means, for a writer that does not hold the log's lock: the folder of a log
    /// that was deleted meanwhile has gone with it, which says nothing of the disk.
    pub(crate) fn write_failed(&self, error: Error) -> Error {
        match self.check_usable() {
            Ok(()) => self.dir.write_failed(error),
            Err(gone) => gone,
        }
    }
}
