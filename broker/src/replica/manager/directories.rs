//! The log directories of a broker: opening them at start, routing flushes to partitions, closing them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ottla_core::{BrokerEpoch, DirectoryId, Offset, TopicId, TopicName, TopicPartition};
use ottla_storage::{
    FileCache, FlushListener, Flushed, Identity, LoadOptions, LoadedLog, Log, LogConfig, LogDir, LogDirOptions,
    MetaProperties, PreviousStop,
};
use parking_lot::{Mutex, RwLock};
use tracing::{error, warn};
use uuid::Uuid;

use super::Manager;
use super::moving::{self, Moves};
use super::reports::Reports;
use super::unclaimed::{Found, Unclaimed};
use crate::clock::Clock;
use crate::config::Config;
use crate::replica::cleaner::{Cleaner, CleanerSettings};
use crate::replica::partition::Links;
use crate::replica::{Partition, Throttles, TopicSettings, Topics};
use crate::telemetry::Metrics;

/// A log directory as others see it.
#[derive(Clone, Debug)]
pub struct Directory {
    /// `directory.id`; zero for one that cannot even be read.
    pub id: DirectoryId,
    /// The folder.
    pub path: PathBuf,
    /// How the last run ended there.
    pub previous_stop: PreviousStop,
    /// Why it is offline, if it is.
    pub failure: Option<Arc<str>>,
}

/// Brings what the flushers report to the partitions.
#[derive(Default)]
pub(super) struct FlushRouter {
    reports: Arc<Reports>,
    partitions: RwLock<HashMap<u64, Arc<Partition>>>,
    next: AtomicU64,
}

impl FlushRouter {
    pub(super) fn new(reports: Arc<Reports>) -> Self {
        Self { reports, ..Self::default() }
    }

    pub(super) fn next_handle(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes the partition over `log` and has flushes of it told to it.
    pub(super) fn adopt(
        &self,
        topic_id: TopicId,
        mut log: Log,
        settings: Arc<TopicSettings>,
        high_watermark: Offset,
        links: Links,
    ) -> Arc<Partition> {
        let handle = self.next_handle();
        log.set_handle(handle);
        let partition = Arc::new(Partition::new(topic_id, log, settings, high_watermark, handle, links));
        self.partitions.write().insert(handle, Arc::clone(&partition));
        partition
    }

    /// The partition whose flushes are reported under `handle`.
    pub(super) fn partition(&self, handle: u64) -> Option<Arc<Partition>> {
        self.partitions.read().get(&handle).cloned()
    }

    /// Forgets the partition and takes its log.
    pub(super) fn release(&self, partition: &Partition) -> Option<Log> {
        self.partitions.write().remove(&partition.handle());
        partition.take_log()
    }

    /// The directory with the fewest partitions, of those that work; of several the one with the most free bytes.
    pub(super) fn least_used<'a>(&self, directories: &'a [LogDir]) -> Option<&'a LogDir> {
        if let [only] = directories {
            return Some(only).filter(|dir| dir.failure().is_none());
        }
        let mut counts: HashMap<PathBuf, usize> = HashMap::new();
        for partition in self.partitions.read().values() {
            if let Some(path) = partition.with_log(|log| log.directory().to_owned()) {
                *counts.entry(path).or_default() += 1;
            }
        }
        let online = directories.iter().filter(|dir| dir.failure().is_none());
        let free = |dir: &LogDir| std::cmp::Reverse(dir.space().look());
        online.min_by_key(|dir| (counts.get(dir.path()).copied().unwrap_or(0), free(dir)))
    }
}

impl FlushListener for FlushRouter {
    fn on_flushed(&self, pass: &[Flushed]) {
        let partitions = self.partitions.read();
        let reached: Vec<_> = pass.iter().filter_map(|flushed| partitions.get(&flushed.handle)).cloned().collect();
        drop(partitions);
        for partition in reached {
            partition.flushed();
        }
    }

    fn on_directory_failed(&self, dir: &Path, reason: &str) {
        error!(dir = %dir.display(), reason, "log directory failed: its partitions are not served any more");
        self.reports.directory_failed();
        let all: Vec<_> = self.partitions.read().values().cloned().collect();
        let dir = dir.to_owned();
        // The caller may hold the lock of the very partition that met the failure, so this cannot be done here.
        std::thread::spawn(move || {
            for partition in all {
                if partition.with_log(|log| log.directory() == dir) == Some(true) {
                    partition.storage_failed();
                }
            }
        });
    }
}

impl Manager {
    /// Opens and locks every log directory, formats empty ones, and recovers the logs in them.
    pub fn open(config: Arc<Config>, identity: &Identity, metrics: Metrics) -> Result<Self, ottla_storage::Error> {
        ottla_storage::check_distinct(&config.log_dirs)?;
        let clock = Clock::new();
        let throttles = Arc::new(Throttles::new(config.node_id));
        let reports = Arc::new(Reports::default());
        let router = Arc::new(FlushRouter::new(Arc::clone(&reports)));
        let cache = FileCache::new(open_files());
        let options = |path: &Path| LogDirOptions {
            path: path.to_owned(),
            free_space_reserve: config.storage.free_space_reserve,
            cache: Arc::clone(&cache),
            listener: Arc::clone(&router) as Arc<dyn FlushListener>,
        };
        let is_new = config.log_dirs.iter().all(|path| !matches!(MetaProperties::read(path), Ok(Some(_))));
        let (mut directories, mut missing) = (Vec::new(), Vec::new());
        let mut unclaimed = Unclaimed::default();
        let mut interrupted = BTreeMap::new();
        for path in &config.log_dirs {
            let opened =
                check_there(path, is_new).and_then(|()| open_directory(options(path), &config, identity, &clock));
            match opened {
                Ok((directory, logs)) => {
                    interrupted.extend(moving::interrupted(&directory)?);
                    for loaded in logs {
                        unclaimed.add(Found { directory: directory.id(), loaded });
                    }
                    directories.push(directory);
                }
                // The first one holds the metadata: without it there is no broker.
                Err(error @ ottla_storage::Error::Io { .. }) if !directories.is_empty() => {
                    error!(dir = %path.display(), %error, "log directory is offline: its partitions are not served");
                    let (id, failure) = (DirectoryId::ZERO, Some(error.to_string().into()));
                    missing.push(Directory { id, path: path.clone(), previous_stop: PreviousStop::None, failure });
                }
                Err(error) => return Err(error),
            }
        }
        let none = BTreeMap::new();
        let cleaner = Cleaner::new(CleanerSettings::read(&config.layers(&none, &none)));
        Ok(Self {
            me: config.node_id,
            config,
            metrics,
            clock,
            topics: Topics::default(),
            router,
            proposals: Arc::default(),
            fetchers: Arc::default(),
            throttles,
            directories: RwLock::new(directories),
            missing,
            unclaimed: Mutex::new(unclaimed),
            is_first_image: AtomicBool::new(true),
            reports,
            moves: Moves::new(interrupted),
            cleaner,
        })
    }

    /// The log directories, in the order of the configuration, those that are missing last.
    pub fn directories(&self) -> Vec<Directory> {
        let describe = |dir: &LogDir| Directory {
            id: dir.id(),
            path: dir.path().to_owned(),
            previous_stop: dir.previous_stop(),
            failure: dir.failure(),
        };
        self.directories.read().iter().map(describe).chain(self.missing.iter().cloned()).collect()
    }

    /// The controller knows how the last run ended, and this uptime has begun. A directory that has failed since is not to be
    /// trusted at the next start.
    pub fn stop_reported(&self) {
        for directory in self.directories.read().iter().filter(|directory| directory.failure().is_none()) {
            if let Err(error) = directory.stop_reported() {
                // The next start reports the same loss again, which is safe.
                warn!(dir = %directory.path().display(), %error, "cannot take note of the present boot");
            }
        }
    }

    /// Takes a log directory offline, as a failed flush would.
    pub fn fail_directory(&self, id: DirectoryId, reason: &str) {
        if let Some(directory) = self.directories.read().iter().find(|directory| directory.id() == id) {
            directory.fail(reason);
        }
    }

    /// Has nothing flushed, or flushing go on: disks that hang.
    #[cfg(test)]
    pub(crate) fn pause_flushers(&self, paused: bool) {
        self.directories.read().iter().for_each(|directory| directory.pause_flusher(paused));
    }

    /// Every log directory with the partitions that lie in it and the bytes of their segments.
    pub fn contents(&self) -> Vec<(Directory, Vec<(TopicPartition, u64)>)> {
        let mut contents: Vec<_> = self.directories().into_iter().map(|directory| (directory, Vec::new())).collect();
        for partition in self.topics.partitions() {
            let Some(parent) = partition.with_log(|log| log.directory().to_owned()) else { continue };
            if let Some((_, partitions)) = contents.iter_mut().find(|(directory, _)| directory.path == parent) {
                partitions.push((partition.id().clone(), partition.reader().size()));
            }
        }
        contents
    }

    /// Stops every replica: nothing is appended any more, all is flushed, and the markers of a clean stop are written.
    pub fn close(&self, broker_epoch: BrokerEpoch) -> Result<(), ottla_storage::Error> {
        let mut logs: HashMap<PathBuf, Vec<Log>> = HashMap::new();
        let mut watermarks: HashMap<PathBuf, Vec<(TopicPartition, Offset)>> = HashMap::new();
        for partition in self.topics.partitions() {
            let Some(log) = self.router.release(&partition) else { continue };
            let path = log.directory().to_owned();
            watermarks.entry(path.clone()).or_default().push((partition.id().clone(), partition.high_watermark()));
            logs.entry(path).or_default().push(log);
        }
        for Found { loaded, .. } in self.unclaimed.lock().take() {
            let (partition, Ok((log, _))) = (loaded.partition, loaded.log) else { continue };
            let path = log.directory().to_owned();
            watermarks.entry(path.clone()).or_default().push((partition, loaded.high_watermark));
            logs.entry(path).or_default().push(log);
        }
        let mut failure = None;
        let directories = std::mem::take(&mut *self.directories.write());
        let some_work = directories.iter().any(|directory| directory.failure().is_none());
        for directory in directories {
            let path = directory.path().to_owned();
            if let Some(reason) = directory.failure().filter(|_| some_work) {
                warn!(dir = %path.display(), %reason, "log directory had failed and is left as it is");
                continue;
            }
            let logs = logs.remove(&path).unwrap_or_default();
            let watermarks = watermarks.remove(&path).unwrap_or_default();
            if let Err(error) = directory.close(logs, watermarks.into_iter(), broker_epoch, self.clock.now()) {
                warn!(dir = %path.display(), %error, "log directory is not stopped cleanly");
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// An error if the directory is not there although this broker has run before: its disk is not mounted, and an empty one
/// in its place would be taken for a disk that lost everything.
fn check_there(path: &Path, is_new: bool) -> Result<(), ottla_storage::Error> {
    if is_new || path.exists() {
        return Ok(());
    }
    let source = std::io::ErrorKind::NotFound.into();
    Err(ottla_storage::Error::Io { operation: "find", path: path.to_owned(), source })
}

/// Opens a directory and recovers the logs in it.
fn open_directory(
    options: LogDirOptions,
    config: &Config,
    identity: &Identity,
    clock: &Clock,
) -> Result<(LogDir, Vec<LoadedLog>), ottla_storage::Error> {
    let directory = LogDir::open(options, identity, DirectoryId(Uuid::new_v4()))?;
    let defaults = Arc::new(LogConfig::default());
    let logs = directory.load(&LoadOptions {
        threads: config.storage.recovery_threads,
        config: &|_: &TopicName| Arc::clone(&defaults),
        verify_all: false,
        now: clock.now(),
    })?;
    Ok((directory, logs))
}

/// How many segment files may be open: a half of what the process may open, since connections need theirs.
fn open_files() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(16_384, |limit| usize::try_from(limit / 2).unwrap_or(16_384)).clamp(64, 65_536)
}
