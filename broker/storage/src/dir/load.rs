//! Opening all logs of a directory at start.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla_core::{Now, Offset, TopicId, TopicName, TopicPartition};
use parking_lot::Mutex;

use super::{LOG_STARTS, LogDir, PreviousStop, RECOVERY_POINTS};
use crate::checkpoint::{read_offsets, read_partition_metadata};
use crate::error::io_error;
use crate::flush::flush_now;
use crate::recovery::{self, Damage, Hints, Recovered};
use crate::shared::{CLEANED, HIGH_WATERMARKS};
use crate::{Error, Log, LogConfig, Result, names};

/// How the logs of a directory are opened.
pub struct LoadOptions<'a> {
    /// Threads that recover at once (`num.recovery.threads.per.data.dir`).
    pub threads: usize,
    /// The settings of a topic's logs; they may be changed later.
    pub config: &'a (dyn Fn(&TopicName) -> Arc<LogConfig> + Sync),
    /// Check every batch of every segment, not only what lies above the recovery points.
    pub verify_all: bool,
    /// The present time.
    pub now: Now,
}

/// A partition found in a directory.
pub struct LoadedLog {
    /// The partition.
    pub partition: TopicPartition,
    /// The topic's id; none if an old Kafka made it.
    pub topic_id: Option<TopicId>,
    /// The high watermark of the last checkpoint, no further than the log is sure to hold what that spoke of.
    pub high_watermark: Offset,
    /// The log and what recovery did to it; or why it is not served: flushed data is missing or broken.
    pub log: std::result::Result<(Log, Recovered), Damage>,
}

/// What the last run has left, but for the logs.
struct Checkpoints {
    marks: HashMap<TopicPartition, Offset>,
    recovery_points: HashMap<TopicPartition, Offset>,
    log_starts: HashMap<TopicPartition, Offset>,
    high_watermarks: HashMap<TopicPartition, Offset>,
    cleaned: HashMap<TopicPartition, Offset>,
}

/// The partitions that have a folder in `dir`.
pub(super) fn folders(dir: &Path) -> Result<impl Iterator<Item = TopicPartition>> {
    let entries = std::fs::read_dir(dir).map_err(io_error("list", dir))?;
    let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
    Ok(names.filter_map(|name| names::parse_folder(&name)))
}

/// The same, with one name for all partitions of a topic.
fn share_names(partitions: impl Iterator<Item = TopicPartition>) -> Vec<TopicPartition> {
    let mut topics: HashSet<TopicName> = HashSet::new();
    let share = |mut partition: TopicPartition| {
        match topics.get(&partition.topic) {
            Some(known) => partition.topic = known.clone(),
            None => drop(topics.insert(partition.topic.clone())),
        }
        partition
    };
    partitions.map(share).collect()
}

pub(super) fn load(dir: &LogDir, options: &LoadOptions<'_>) -> Result<Vec<LoadedLog>> {
    let path = &dir.shared.path;
    let checkpoints = Checkpoints::read(path, std::mem::take(&mut *dir.marks_found.lock()))?;
    dir.shared.queue.remove(leftovers(path)?);
    let partitions = share_names(folders(path)?);
    let next = AtomicUsize::new(0);
    let loaded = Mutex::new(Vec::with_capacity(partitions.len()));
    let failure = Mutex::new(None);
    let work = || {
        let mut mine = Vec::new();
        while let Some(partition) = partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
            match load_one(dir, partition, &checkpoints, options) {
                Ok(log) => mine.push(log),
                Err(error) => {
                    *failure.lock() = Some(error);
                    next.store(partitions.len(), Ordering::Relaxed);
                }
            }
        }
        loaded.lock().append(&mut mine);
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.min(partitions.len()) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = failure.into_inner() {
        return Err(error);
    }
    let loaded = loaded.into_inner();
    for loaded in &loaded {
        match &loaded.log {
            Ok((log, _)) => dir.register(log),
            Err(damage) => {
                tracing::error!(%damage, "log is damaged and not served");
                dir.damaged.lock().insert(damage.partition.clone(), damage.recovery_point);
            }
        }
    }
    let is_new = loaded.is_empty() && checkpoints.marks.is_empty() && checkpoints.recovery_points.is_empty();
    if !is_new {
        settle(dir, &loaded, &checkpoints)?;
    }
    let here: HashSet<&TopicPartition> = loaded.iter().map(|loaded| &loaded.partition).collect();
    if !checkpoints.cleaned.keys().all(|partition| here.contains(partition)) {
        // A log of the same name that is made anew has not been cleaned.
        dir.checkpoint_cleaned()?;
    }
    Ok(loaded)
}

/// Makes durable what recovery has found and cut, so that it is the recovery point from now on.
fn settle(dir: &LogDir, loaded: &[LoadedLog], checkpoints: &Checkpoints) -> Result<()> {
    lower_checkpoints(dir, loaded, checkpoints)?;
    let scanned = loaded.iter().filter_map(|l| l.log.as_ref().ok()).filter(|(_, recovered)| recovered.scanned);
    let dirty: Vec<_> = scanned.map(|(log, _)| Arc::clone(&log.shared)).collect();
    let is_clean = matches!(dir.previous_stop, PreviousStop::Clean(_));
    dir.shared.entries_dirty.store(!is_clean || !dirty.is_empty(), Ordering::Release);
    if !dirty.is_empty() {
        flush_now(&dir.shared, dirty)?;
    }
    if !is_clean {
        // Damaged logs keep their recovery points.
        dir.write_recovery_points()?;
        dir.shared.marks.clear()?;
    }
    Ok(())
}

/// Has the checkpoints speak of no more than the logs are sure to hold, before anything makes their tails recovery points:
/// the next start would trust them then.
fn lower_checkpoints(dir: &LogDir, loaded: &[LoadedLog], checkpoints: &Checkpoints) -> Result<()> {
    let opened = || loaded.iter().filter_map(|l| Some((&l.partition, sure_end(dir, &l.log.as_ref().ok()?.0))));
    for (file, known) in
        [(&dir.shared.watermarks, &checkpoints.high_watermarks), (&dir.shared.cleaned, &checkpoints.cleaned)]
    {
        let ends: Vec<_> = opened().filter(|(log, end)| known.get(log).is_some_and(|known| end < known)).collect();
        if !ends.is_empty() {
            file.lower(&ends)?;
        }
    }
    Ok(())
}

/// Up to where `log` holds what the checkpoints of the last run spoke of. After a power loss a tail that had been cut off
/// may be back above the recovery point, in place of what was written there since.
fn sure_end(dir: &LogDir, log: &Log) -> Offset {
    if dir.previous_stop == PreviousStop::PowerLoss { log.flushed() } else { log.log_end() }
}

fn load_one(
    dir: &LogDir,
    partition: &TopicPartition,
    checkpoints: &Checkpoints,
    options: &LoadOptions<'_>,
) -> Result<LoadedLog> {
    let metadata = dir.shared.path.join(partition.to_string()).join(names::PARTITION_METADATA);
    let topic_id = match read_partition_metadata(&metadata) {
        Ok(id) => id,
        // Torn by a crash: the broker knows the id from the cluster's metadata.
        Err(Error::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    let recovery_point = checkpoints.marks.get(partition).or_else(|| checkpoints.recovery_points.get(partition));
    let hints = Hints {
        recovery_point: recovery_point.map(|o| o.0),
        log_start: checkpoints.log_starts.get(partition).map(|o| o.0),
        cleaned: checkpoints.cleaned.get(partition).map(|o| o.0),
        clean: matches!(dir.previous_stop, PreviousStop::Clean(_)),
        verify_all: options.verify_all,
        now: options.now.wall.0,
    };
    let config = (options.config)(&partition.topic);
    let log = recovery::open(&dir.shared, partition.clone(), config, hints)?;
    if let Ok((log, _)) = &log {
        log.shared.cleaned.fetch_min(sure_end(dir, log).0, Ordering::AcqRel);
        if hints.cleaned.is_some_and(|cleaned| cleaned > 0) {
            // What a Kafka has cleaned says so in its checkpoint alone, which may be gone at the next start.
            log.note_gaps()?;
        }
    }
    let checkpointed = checkpoints.high_watermarks.get(partition).copied().unwrap_or_default();
    let high_watermark = log.as_ref().map_or(checkpointed, |(log, _)| checkpointed.min(sure_end(dir, log)));
    Ok(LoadedLog { partition: partition.clone(), topic_id, high_watermark, log })
}

/// Folders whose deletion was interrupted.
fn leftovers(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path).map_err(io_error("list", path))?;
    let leftover = |e: &std::fs::DirEntry| e.file_name().to_str().is_some_and(names::is_deleted_folder);
    Ok(entries.flatten().filter(leftover).map(|e| e.path()).collect())
}

impl Checkpoints {
    fn read(path: &Path, marks: HashMap<TopicPartition, Offset>) -> Result<Self> {
        let read = |name: &str| match read_offsets(&path.join(name)) {
            Ok(offsets) => Ok(offsets.into_iter().collect()),
            Err(error @ Error::Damaged { .. }) => {
                // A lost checkpoint costs time, not data: everything is scanned.
                tracing::warn!(%error, "checkpoint not used");
                Ok(HashMap::new())
            }
            Err(error) => Err(error),
        };
        Ok(Self {
            marks,
            recovery_points: read(RECOVERY_POINTS)?,
            log_starts: read(LOG_STARTS)?,
            high_watermarks: read(HIGH_WATERMARKS)?,
            cleaned: read(CLEANED)?,
        })
    }
}
