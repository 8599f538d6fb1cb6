//! Copies of logs on their way from another directory: made beside the logs, and put in place when they have caught up.
//!
//! Until then they are no logs of the directory: checkpoints and recovery pass them over, and a start throws them away,
//! telling which there were, so that the moves can begin again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_core::{Now, TopicId, TopicPartition};
use uuid::Uuid;

use super::LogDir;
use crate::error::io_error;
use crate::flush::flush_now;
use crate::recovery::{self, Hints};
use crate::{Error, Log, LogConfig, Result, names};

impl LogDir {
    /// Makes an empty copy of a partition whose log lies in another directory. Fill it with
    /// [`Log::append_as_follower`].
    pub fn create_future(
        &self,
        partition: TopicPartition,
        topic_id: TopicId,
        config: Arc<LogConfig>,
        handle: u64,
        now: Now,
    ) -> Result<Log> {
        self.shared.check_online()?;
        let folder = names::future_folder(&partition, Uuid::new_v4());
        let mut log = self.create_in(&folder, partition, topic_id, config, now)?;
        log.set_handle(handle);
        Ok(log)
    }

    /// Puts a copy in place: makes it durable, renames its folder, and opens it as the log of its partition. The log it
    /// was copied from must not grow meanwhile, and is to be deleted afterwards.
    pub fn promote(&self, mut copy: Log, now: Now) -> Result<Log> {
        self.shared.check_online()?;
        copy.close(now)?;
        flush_now(&self.shared, vec![Arc::clone(&copy.shared)])?;
        let partition = copy.partition().clone();
        if self.deleted.lock().contains(&partition) {
            // As for a new log: the checkpoint still speaks of the deleted one.
            self.write_recovery_points()?;
        }
        let (start, end) = (copy.log_start().0, copy.log_end().0);
        copy.shared.deleted.store(true, Ordering::Release);
        self.shared.marks.forget(&copy.shared);
        let (from, to) = (copy.shared.folder.to_path_buf(), self.shared.path.join(partition.to_string()));
        let renamed = std::fs::rename(&from, &to).and_then(|()| self.shared.root.sync_all());
        renamed.map_err(|e| self.shared.write_failed(io_error("rename", &from)(e)))?;
        let hints = Hints {
            recovery_point: Some(end),
            log_start: Some(start),
            // What was copied may have been dirty.
            cleaned: None,
            clean: true,
            verify_all: false,
            now: now.wall.0,
        };
        let opened = recovery::open(&self.shared, partition, Arc::clone(&copy.config), hints)?;
        let (log, _) = opened.map_err(|damage| Error::Damaged { path: to, position: 0, reason: damage.to_string() })?;
        self.shared.marks.update(&[&log.shared]);
        self.register(&log);
        Ok(log)
    }

    /// Throws a copy away.
    pub fn discard_future(&self, copy: Log) {
        copy.shared.deleted.store(true, Ordering::Release);
        self.shared.marks.forget(&copy.shared);
        self.shared.queue.remove([copy.shared.folder.to_path_buf()]);
    }

    /// Throws away the copies that were being made when the last run ended; gives their partitions.
    pub fn interrupted_moves(&self) -> Result<Vec<TopicPartition>> {
        let path = &self.shared.path;
        let entries = std::fs::read_dir(path).map_err(io_error("list", path))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let copies: Vec<String> = names.filter(|name| names::is_future_folder(name)).collect();
        self.shared.queue.remove(copies.iter().map(|name| path.join(name)));
        Ok(copies.iter().filter_map(|name| names::parse_future_folder(name)).collect())
    }
}
