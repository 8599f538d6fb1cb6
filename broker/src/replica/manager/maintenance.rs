//! What is done to the logs from time to time: retention, expiry of producers, checkpoints.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_core::{Offset, TopicPartition};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Manager;

impl Manager {
    /// Keeps the logs tidy until shutdown. Each pass is file work, done off the async threads.
    pub async fn maintain(self: Arc<Self>, shutdown: CancellationToken) {
        let mut checkpoint = tokio::time::interval(self.config.storage.checkpoint_interval);
        let mut retention = tokio::time::interval(self.config.storage.retention_check_interval);
        checkpoint.tick().await;
        retention.tick().await;
        loop {
            let manager = Arc::clone(&self);
            let pass = tokio::select! {
                _ = checkpoint.tick() => tokio::task::spawn_blocking(move || manager.checkpoint()),
                _ = retention.tick() => tokio::task::spawn_blocking(move || manager.apply_retention()),
                () = shutdown.cancelled() => return,
            };
            if let Err(error) = pass.await {
                warn!(%error, "a maintenance pass did not finish");
            }
        }
    }

    /// Removes what is older or more than each topic keeps.
    pub fn apply_retention(&self) {
        for partition in self.topics.partitions() {
            let (now, high_watermark) = (self.clock.now(), partition.high_watermark());
            let applied = partition.with_log(|log| {
                log.expire_producers(now);
                log.apply_retention(now, high_watermark)
            });
            match applied {
                Some(Ok(deleted)) if deleted.segments > 0 => {
                    info!(partition = %partition.id(), segments = deleted.segments, log_start = %deleted.log_start, "retention");
                }
                Some(Err(error)) => warn!(partition = %partition.id(), %error, "cannot apply retention"),
                _ => {}
            }
        }
    }

    /// Writes the checkpoints of every directory.
    pub fn checkpoint(&self) {
        let mut watermarks: HashMap<PathBuf, Vec<(TopicPartition, Offset)>> = HashMap::new();
        for partition in self.topics.partitions() {
            let Some(path) = partition.with_log(|log| log.directory().to_owned()) else { continue };
            watermarks.entry(path).or_default().push((partition.id().clone(), partition.high_watermark()));
        }
        for directory in self.directories.read().iter() {
            let offsets = watermarks.remove(directory.path()).unwrap_or_default();
            if let Err(error) = directory.checkpoint(offsets.into_iter()) {
                warn!(dir = %directory.path().display(), %error, "cannot write checkpoints");
            }
        }
    }
}
