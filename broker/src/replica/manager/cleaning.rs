//! Cleans the compacted logs that are due, one after the other, the dirtiest first. One task for the whole broker: a log
//! that is not compacted costs nothing, one that is idle a look now and then.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::metadata::Image;
use ottla_storage::{Clean, Cleanable, Error};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Manager;
use crate::replica::Partition;
use crate::replica::cleaner::CleanerSettings;

/// The longest that it is not written down how far logs are cleaned, but for the clean that is under way: what is not is
/// cleaned once more after a crash.
const LONGEST_UNSAVED: Duration = Duration::from_secs(5);

impl Manager {
    /// Cleans until shutdown. Each round is file work, done off the async threads.
    pub async fn clean(self: Arc<Self>, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let settings = self.cleaner.settings();
            if settings.is_enabled {
                let (manager, stop) = (Arc::clone(&self), shutdown.clone());
                if let Err(error) = tokio::task::spawn_blocking(move || manager.clean_all(&stop)).await {
                    error!(%error, "a round of the log cleaner did not finish");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(settings.backoff) => {}
                () = self.cleaner.changed() => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Cleans until no log is due.
    fn clean_all(&self, stop: &CancellationToken) {
        // Logs that cannot be cleaned right now; the next round tries them again.
        let mut passed_over = HashSet::new();
        let (mut behind, mut saved) = (HashSet::new(), Instant::now());
        'all: loop {
            let due = self.due(&mut passed_over);
            if due.is_empty() {
                break;
            }
            for partition in due {
                match self.clean_one(&partition, stop) {
                    Ok(Some(directory)) => drop(behind.insert(directory)),
                    Ok(None) | Err(Error::CleanVoid) => drop(passed_over.insert(partition.handle())),
                    Err(Error::CalledOff) => break 'all,
                    Err(error) if error.is_passing() => {
                        warn!(partition = %partition.id(), %error, "cannot clean the log now");
                        passed_over.insert(partition.handle());
                    }
                    Err(error) => {
                        error!(partition = %partition.id(), %error, "cannot clean the log: set aside until a restart or another log.cleaner.* setting");
                        self.cleaner.set_aside(partition.handle());
                    }
                }
                if saved.elapsed() > LONGEST_UNSAVED {
                    self.checkpoint_cleaned(&mut behind);
                    saved = Instant::now();
                }
            }
        }
        self.checkpoint_cleaned(&mut behind);
    }

    /// The logs that are due, of those not passed over, the one with the largest dirty part first. Counts those set aside.
    fn due(&self, passed_over: &mut HashSet<u64>) -> Vec<Arc<Partition>> {
        let (mut due, mut uncleanable, mut max_ratio) = (Vec::new(), 0, 0.0_f64);
        for topic in self.topics.all().iter().filter(|topic| topic.settings.log.compact) {
            for partition in topic.partitions.iter().flatten() {
                let handle = partition.handle();
                if self.cleaner.is_set_aside(handle) {
                    uncleanable += 1;
                    continue;
                }
                if passed_over.contains(&handle) {
                    continue;
                }
                match self.cleanable(partition) {
                    None => {}
                    Some(Ok(found)) => {
                        max_ratio = max_ratio.max(found.ratio());
                        if found.is_due(topic.settings.log.min_dirty_ratio) {
                            due.push((found.ratio(), Arc::clone(partition)));
                        }
                    }
                    Some(Err(error)) => {
                        warn!(partition = %partition.id(), %error, "cannot tell what of the log is dirty");
                        passed_over.insert(handle);
                    }
                }
            }
        }
        self.metrics.cleaner.uncleanable.set(uncleanable);
        self.metrics.cleaner.max_dirty_percent.set(100.0 * max_ratio);
        due.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        due.into_iter().map(|(_, partition)| partition).collect()
    }

    fn cleanable(&self, partition: &Partition) -> Option<Result<Cleanable, Error>> {
        let (now, watermark) = (self.clock.now(), partition.high_watermark());
        partition.with_log(|log| {
            log.roll_if_overdue(now)?;
            log.cleanable(watermark, now)
        })
    }

    /// Cleans one log; gives the directory that it lies in. None if it is not due any more, or something else has changed
    /// it meanwhile.
    fn clean_one(&self, partition: &Partition, stop: &CancellationToken) -> Result<Option<PathBuf>, Error> {
        let (now, watermark, begun) = (self.clock.now(), partition.high_watermark(), Instant::now());
        let limits = self.cleaner.settings().limits;
        let clean = partition.with_log(|log| log.begin_clean(watermark, limits, now)).transpose()?;
        let Some(mut clean) = clean.flatten() else { return Ok(None) };
        let pace = &mut |bytes| self.cleaner.pace(bytes, &self.clock, stop);
        clean.read_keys(pace)?;
        while let Some(cleaned) = clean.next_segment(pace)? {
            let replaced = partition.with_log(|log| log.replace_segments(&mut clean, cleaned)).transpose()?;
            if replaced != Some(true) {
                return Ok(None);
            }
        }
        let directory = partition.with_log(|log| {
            log.end_clean(&clean);
            log.directory().to_owned()
        });
        if directory.is_some() {
            self.count_clean(partition, &clean, begun);
        }
        Ok(directory)
    }

    /// Writes down how far the logs of the directories `behind` are cleaned.
    fn checkpoint_cleaned(&self, behind: &mut HashSet<PathBuf>) {
        for directory in self.directories.read().iter().filter(|directory| behind.remove(directory.path())) {
            if let Err(error) = directory.checkpoint_cleaned() {
                warn!(dir = %directory.path().display(), %error, "cannot write how far logs are cleaned");
            }
        }
    }

    fn count_clean(&self, partition: &Partition, clean: &Clean, begun: Instant) {
        let (took, stats, until) = (begun.elapsed(), clean.stats(), clean.until());
        self.metrics.cleaner.cleaned(&stats, took);
        let (before, after) = (stats.bytes_before, stats.bytes_after);
        let removed = stats.records_before.saturating_sub(stats.records_after);
        info!(partition = %partition.id(), %until, ?took, before, after, removed, "log cleaned");
    }

    /// The `log.cleaner.*` keys.
    pub(super) fn configure_cleaner(&self, image: &Image) {
        self.cleaner.configure(self.with_layers(image, CleanerSettings::read), &self.clock);
    }
}
