//! One entry of `log.dirs`: lock, identity, checkpoints, recovery and clean stop.

mod future;
mod load;
mod stop;

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use ottla_core::{BrokerEpoch, BrokerId, DirectoryId, Now, Offset, TopicId, TopicPartition};
use parking_lot::Mutex;

pub use load::{LoadOptions, LoadedLog};
pub use stop::PreviousStop;
pub(crate) use stop::distrust;

use crate::cache::FileCache;
use crate::checkpoint::{self, Sync};
use crate::error::io_error;
use crate::flush::{FlushListener, FlushMarks, Flusher, flush_now};
use crate::meta_properties::MetaProperties;
use crate::shared::{DirShared, LogShared};
use crate::space::DiskSpace;
use crate::{Damage, Error, IdentityError, Log, LogConfig, Result, names, recovery};

pub(crate) const LOCK: &str = ".lock";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";

/// Who this broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: BrokerId,
}

/// How a log directory is opened.
#[derive(Clone)]
pub struct LogDirOptions {
    /// The folder; made if it is missing.
    pub path: PathBuf,
    /// Bytes that appends leave free on its file system.
    pub free_space_reserve: u64,
    /// The process's open files.
    pub cache: Arc<FileCache>,
    /// Who is told what has become durable.
    pub listener: Arc<dyn FlushListener>,
}

/// An opened log directory. Dropping it without [`LogDir::close`] is an unclean stop.
pub struct LogDir {
    shared: Arc<DirShared>,
    id: DirectoryId,
    previous_stop: PreviousStop,
    logs: Mutex<HashMap<TopicPartition, Weak<LogShared>>>,
    /// Deleted since the last checkpoint, which may still name them.
    deleted: Mutex<HashSet<TopicPartition>>,
    /// Recovery points of the logs that are damaged, kept for the next start to see.
    damaged: Mutex<HashMap<TopicPartition, Offset>>,
    /// How far the last run had flushed, until the logs are loaded.
    marks_found: Mutex<HashMap<TopicPartition, Offset>>,
    flusher: Flusher,
    _lock: File,
}

impl LogDir {
    /// Opens and locks a directory and checks whose it is; an empty one is formatted with `new_id`.
    pub fn open(options: LogDirOptions, identity: &Identity, new_id: DirectoryId) -> Result<Self> {
        let path = options.path;
        std::fs::create_dir_all(&path).map_err(io_error("create", &path))?;
        let lock = lock(&path)?;
        let id = identify(&path, identity, new_id)?;
        let previous_stop = stop::begin(&path)?;
        let (marks, marks_found) = FlushMarks::open(&path)?;
        let shared = DirShared::new(path, options.cache, options.free_space_reserve, marks, options.listener)?;
        let shared = Arc::new(shared);
        let flusher = Flusher::start(Arc::clone(&shared)).map_err(io_error("start the flusher of", &shared.path))?;
        let (logs, deleted, damaged) = (Mutex::default(), Mutex::default(), Mutex::default());
        let marks_found = Mutex::new(marks_found);
        Ok(Self { shared, id, previous_stop, logs, deleted, damaged, marks_found, flusher, _lock: lock })
    }

    /// `directory.id`.
    pub fn id(&self) -> DirectoryId {
        self.id
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// How the last run ended.
    pub fn previous_stop(&self) -> PreviousStop {
        self.previous_stop
    }

    /// To be called once the controller knows of [`LogDir::previous_stop`]: a power loss is reported until then.
    pub fn stop_reported(&self) -> Result<()> {
        // After any other stop the present boot was noted at the start.
        if self.previous_stop == PreviousStop::PowerLoss { stop::reported(&self.shared.path) } else { Ok(()) }
    }

    /// Free space and reserve.
    pub fn space(&self) -> &DiskSpace {
        &self.shared.space
    }

    /// Why the directory is offline, if it is.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.shared.failure()
    }

    /// Takes the directory offline, as a failed flush would.
    pub fn fail(&self, reason: &str) {
        self.shared.fail(reason);
    }

    /// Holds the flusher back, or lets it go on: a disk that hangs, for tests. While it is held nothing becomes durable,
    /// and dropping the directory gives up what is queued.
    pub fn pause_flusher(&self, paused: bool) {
        self.shared.queue.pause(paused);
    }

    /// Opens every log in the directory, several at once, and recovers those that were not stopped cleanly. Call it
    /// once, before [`LogDir::create`].
    pub fn load(&self, options: &LoadOptions<'_>) -> Result<Vec<LoadedLog>> {
        load::load(self, options)
    }

    /// Makes the log of a new partition.
    pub fn create(
        &self,
        partition: TopicPartition,
        topic_id: TopicId,
        config: Arc<LogConfig>,
        handle: u64,
        now: Now,
    ) -> Result<Log> {
        self.shared.check_online()?;
        if self.deleted.lock().contains(&partition) {
            // The checkpoint still speaks of the deleted log; its offsets must not be taken for the new one's.
            self.write_recovery_points()?;
            self.shared.watermarks.lower(&[(&partition, Offset::ZERO)])?;
            self.shared.cleaned.lower(&[(&partition, Offset::ZERO)])?;
        }
        let folder = partition.to_string();
        let mut log = self.create_in(&folder, partition, topic_id, config, now)?;
        log.set_handle(handle);
        self.register(&log);
        Ok(log)
    }

    fn create_in(
        &self,
        folder: &str,
        partition: TopicPartition,
        topic_id: TopicId,
        config: Arc<LogConfig>,
        now: Now,
    ) -> Result<Log> {
        let log = recovery::create(&self.shared, partition, folder, config, now.wall.0)?;
        let metadata = log.shared.folder.join(names::PARTITION_METADATA);
        let written = checkpoint::write_partition_metadata(&metadata, topic_id);
        written.map_err(|e| self.shared.write_failed(e))?;
        Ok(log)
    }

    /// Deletes a log of this directory; its files go in the background.
    pub fn delete(&self, log: Log) -> Result<()> {
        let partition = log.partition().clone();
        log.delete()?;
        self.logs.lock().remove(&partition);
        self.deleted.lock().insert(partition);
        Ok(())
    }

    /// Deletes a log that [`LogDir::load`] found damaged, so that it can be made anew and filled from a peer.
    pub fn delete_damaged(&self, damage: &Damage) -> Result<()> {
        self.shared.check_online()?;
        if self.damaged.lock().remove(&damage.partition).is_none() {
            return Ok(());
        }
        self.deleted.lock().insert(damage.partition.clone());
        crate::log::remove_folder(&self.shared, &damage.partition)
    }

    /// Writes the checkpoints: recovery points, log start offsets and the given high watermarks. Kafka does so every
    /// minute (`log.flush.offset.checkpoint.interval.ms`) and every 5 s for high watermarks.
    pub fn checkpoint(&self, high_watermarks: impl Iterator<Item = (TopicPartition, Offset)>) -> Result<()> {
        self.shared.check_online()?;
        self.write_recovery_points()?;
        let starts = self.live().into_iter().filter_map(|log| {
            let view = log.view.read();
            // As Kafka: only where the first segment's name does not say it already.
            (view.start > view.segments[0].segment.base).then(|| (log.partition.clone(), Offset(view.start)))
        });
        checkpoint::write_offsets(&self.shared.path.join(LOG_STARTS), starts, Sync::Now)?;
        self.checkpoint_high_watermarks(high_watermarks)
    }

    /// Writes the high watermarks alone.
    pub fn checkpoint_high_watermarks(&self, offsets: impl Iterator<Item = (TopicPartition, Offset)>) -> Result<()> {
        self.shared.watermarks.write(offsets, Sync::Later)
    }

    /// Writes how far each log has been cleaned, in Kafka's `cleaner-offset-checkpoint`.
    pub fn checkpoint_cleaned(&self) -> Result<()> {
        self.shared.check_online()?;
        let cleaned = self.live().into_iter().filter_map(|log| {
            let until = log.cleaned.load(std::sync::atomic::Ordering::Acquire);
            (until > 0).then(|| (log.partition.clone(), Offset(until)))
        });
        self.shared.cleaned.write(cleaned, Sync::Now)
    }

    /// Stops cleanly: flushes and closes `logs`, which must be all of them, writes the checkpoints and the marker that
    /// lets the next start skip recovery.
    pub fn close(
        self,
        mut logs: Vec<Log>,
        high_watermarks: impl Iterator<Item = (TopicPartition, Offset)>,
        broker_epoch: BrokerEpoch,
        now: Now,
    ) -> Result<()> {
        self.shared.check_online()?;
        for log in &mut logs {
            log.close(now)?;
        }
        let dirty = logs.iter().filter(|log| log.flushed() < log.log_end());
        flush_now(&self.shared, dirty.map(|log| Arc::clone(&log.shared)).collect())?;
        self.checkpoint(high_watermarks)?;
        drop(self.flusher);
        if self.damaged.lock().is_empty() {
            self.shared.marks.clear()?;
        }
        stop::write_marker(&self.shared.path, broker_epoch)
    }

    fn register(&self, log: &Log) {
        self.logs.lock().insert(log.partition().clone(), Arc::downgrade(&log.shared));
    }

    fn live(&self) -> Vec<Arc<LogShared>> {
        self.logs.lock().values().filter_map(Weak::upgrade).collect()
    }

    fn write_recovery_points(&self) -> Result<()> {
        self.shared.marks.sync()?;
        let mut deleted = self.deleted.lock();
        let points = self.live().into_iter().map(|log| {
            let flushed = log.flushed.load(std::sync::atomic::Ordering::Acquire);
            (log.partition.clone(), Offset(flushed))
        });
        let points = points.chain(self.damaged.lock().clone());
        checkpoint::write_offsets(&self.shared.path.join(RECOVERY_POINTS), points, Sync::Now)?;
        deleted.clear();
        Ok(())
    }
}

/// Whether another process, or this one, has the directory at `path` open. A moment later that may be otherwise: only
/// [`LogDir::open`] keeps others out.
pub fn is_in_use(path: &Path) -> bool {
    path.join(LOCK).exists() && matches!(lock(path), Err(Error::Locked { .. }))
}

/// Locks the directory against other processes (as Kafka does, by a record lock) and against this one.
pub(crate) fn lock(path: &Path) -> Result<File> {
    use rustix::fs::{FlockOperation, fcntl_lock, flock};
    let file_path = path.join(LOCK);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file_path);
    let file = file.map_err(io_error("open", &file_path))?;
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive)
        .and_then(|()| fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive));
    match locked {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(Error::Locked { dir: path.to_owned() }),
        Err(e) => Err(io_error("lock", &file_path)(e)),
    }
}

/// Checks whose directory it is, and formats an empty one.
fn identify(path: &Path, identity: &Identity, new_id: DirectoryId) -> Result<DirectoryId> {
    let found = MetaProperties::read(path)?;
    if let Some(found) = &found {
        found.check(path, &identity.cluster_id, identity.node_id)?;
        if let Some(id) = found.directory_id {
            return Ok(id);
        }
    } else if load::folders(path)?.next().is_some() {
        return Err(IdentityError::Missing { dir: path.to_owned() }.into());
    }
    let (cluster_id, node_id) = (identity.cluster_id.clone(), identity.node_id);
    MetaProperties { cluster_id, node_id, directory_id: Some(new_id) }.write(path)?;
    Ok(new_id)
}
