//! Cleans the compacted logs, one after the other, the dirtiest first. One task for the whole broker: a log that is not
//! compacted costs nothing, one that is idle a look now and then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use ottla_core::metadata::Image;
use ottla_storage::{CleanStats, Cleanable, Error};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Manager;
use crate::replica::Partition;
use crate::replica::cleaner::CleanerSettings;

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
        while let Some(partition) = self.dirtiest(&mut passed_over) {
            match self.clean_one(&partition, stop) {
                Ok(true) => {}
                Err(Error::CalledOff) => return,
                Ok(false) | Err(Error::CleanVoid) => drop(passed_over.insert(partition.handle())),
                Err(error) if error.is_passing() => {
                    warn!(partition = %partition.id(), %error, "cannot clean the log now");
                    passed_over.insert(partition.handle());
                }
                Err(error) => {
                    error!(partition = %partition.id(), %error, "cannot clean the log: it is set aside until a restart");
                    self.cleaner.set_aside(partition.handle());
                }
            }
        }
    }

    /// The log that is due and has the largest dirty part, of those not passed over. Counts those set aside.
    fn dirtiest(&self, passed_over: &mut HashSet<u64>) -> Option<Arc<Partition>> {
        let (mut best, mut uncleanable, mut max_ratio) = (None, 0, 0.0_f64);
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
                        let beats =
                            |best: &Option<(f64, _)>| best.as_ref().is_none_or(|(ratio, _)| found.ratio() > *ratio);
                        if found.is_due(topic.settings.log.min_dirty_ratio) && beats(&best) {
                            best = Some((found.ratio(), Arc::clone(partition)));
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
        best.map(|(_, partition)| partition)
    }

    fn cleanable(&self, partition: &Partition) -> Option<Result<Cleanable, Error>> {
        let (now, watermark) = (self.clock.now(), partition.high_watermark());
        partition.with_log(|log| {
            log.roll_if_overdue(now)?;
            log.cleanable(watermark, now)
        })
    }

    /// Cleans one log. False if it is not due any more, or something else has changed it meanwhile.
    fn clean_one(&self, partition: &Partition, stop: &CancellationToken) -> Result<bool, Error> {
        let (now, watermark, begun) = (self.clock.now(), partition.high_watermark(), Instant::now());
        let limits = self.cleaner.settings().limits;
        let clean = partition.with_log(|log| log.begin_clean(watermark, limits, now)).transpose()?;
        let Some(mut clean) = clean.flatten() else { return Ok(false) };
        let pace = &mut |bytes| self.cleaner.pace(bytes, &self.clock, stop);
        clean.read_keys(pace)?;
        while let Some(cleaned) = clean.next_segment(pace)? {
            let replaced = partition.with_log(|log| log.replace_segments(&mut clean, cleaned)).transpose()?;
            if replaced != Some(true) {
                return Ok(false);
            }
        }
        let Some(path) = partition.with_log(|log| {
            log.end_clean(&clean);
            log.directory().to_owned()
        }) else {
            return Ok(false);
        };
        if let Some(directory) = self.directories.read().iter().find(|directory| directory.path() == path) {
            directory.checkpoint_cleaned()?;
        }
        self.count_clean(partition, &clean.stats(), begun);
        Ok(true)
    }

    fn count_clean(&self, partition: &Partition, stats: &CleanStats, begun: Instant) {
        let took = begun.elapsed();
        self.metrics.cleaner.cleaned(stats, took);
        let (before, after) = (stats.bytes_before, stats.bytes_after);
        let removed = stats.records_before.saturating_sub(stats.records_after);
        info!(partition = %partition.id(), ?took, before, after, removed, "log cleaned");
    }

    /// The `log.cleaner.*` keys.
    pub(super) fn configure_cleaner(&self, image: &Image) {
        self.cleaner.configure(self.with_layers(image, CleanerSettings::read), &self.clock);
    }
}
