//! Finds the log of a replica among those that were here at the start, or makes it.
//!
//! A log that is damaged is never served: it is made anew only where another broker leads and this one's copy counts
//! for nothing.

use ottla_core::metadata::{Image, LocalPartition};
use ottla_core::{BrokerId, DirectoryId, Offset, TopicId};
use ottla_storage::{LoadedLog, Log};
use tracing::{info, warn};

use super::Manager;
use super::unclaimed::Found;
use crate::replica::{Error, TopicSettings};

impl Manager {
    /// The replica's log and the high watermark that is known of it.
    pub(super) fn find_or_create(
        &self,
        local: &LocalPartition,
        settings: &TopicSettings,
    ) -> Result<(Log, Offset), Error> {
        let found = self.unclaimed.lock().claim(&local.partition);
        let is_same = |found: &Found| found.loaded.topic_id.is_none_or(|id| id == local.topic_id);
        let (mut same, earlier): (Vec<_>, Vec<_>) = found.into_iter().partition(is_same);
        earlier.into_iter().for_each(|found| self.discard(found, "deleting the log of an earlier topic of this name"));
        same.sort_by_key(|found| found.rank(local.directory));
        let Some(best) = same.pop() else { return Ok((self.create_log(local, settings)?, Offset::ZERO)) };
        same.into_iter().for_each(|found| self.discard(found, "deleting what a move between directories has left"));
        let Found { directory, loaded } = best;
        let damage = match loaded.log {
            Ok((log, _)) => {
                if directory != local.directory {
                    self.reports.placed(local.topic_id, local.partition.partition, directory);
                }
                return Ok((log, loaded.high_watermark));
            }
            Err(damage) => damage,
        };
        let state = &local.state;
        let led_elsewhere = state.leader != self.me && state.leader != BrokerId::NONE;
        if !led_elsewhere || state.isr.contains(&self.me) || state.elr.contains(&self.me) {
            let error = Error::Damaged(damage.clone());
            let found = Found { directory, loaded: LoadedLog { log: Err(damage), ..loaded } };
            self.unclaimed.lock().add(found);
            return Err(error);
        }
        warn!(partition = %local.partition, %damage, "making a damaged log anew, to be filled by its leader");
        if let Some(dir) = self.directories.read().iter().find(|dir| dir.id() == directory) {
            dir.delete_damaged(&damage)?;
        }
        Ok((self.create_log(local, settings)?, Offset::ZERO))
    }

    fn create_log(&self, local: &LocalPartition, settings: &TopicSettings) -> Result<Log, Error> {
        let directories = self.directories.read();
        let assigned = directories.iter().find(|dir| dir.id() == local.directory);
        let directory = match assigned {
            Some(directory) => directory,
            // The replica may well be there: it must not begin anew elsewhere.
            None if local.directory != DirectoryId::ZERO && self.lacks_directories() => return Err(Error::Offline),
            None => self.router.least_used(&directories).ok_or(Error::Offline)?,
        };
        let (handle, config) = (self.router.next_handle(), settings.log.clone());
        let log = directory.create(local.partition.clone(), local.topic_id, config, handle, self.clock.now())?;
        if assigned.is_none() {
            self.reports.placed(local.topic_id, local.partition.partition, directory.id());
        }
        Ok(log)
    }

    fn lacks_directories(&self) -> bool {
        self.directories().iter().any(|directory| directory.failure.is_some())
    }

    fn discard(&self, found: Found, why: &str) {
        info!(partition = %found.loaded.partition, "{why}");
        if let Ok((log, _)) = found.loaded.log {
            self.delete_log(log);
        }
    }

    /// Deletes the logs whose replicas were moved to other brokers while this one was down. Logs of topics that are not
    /// known at all stay where they are, for a person to look at: nothing says that anybody wanted them gone.
    pub(super) fn delete_moved(&self, image: &Image) {
        let held = |found: &Found| {
            let topic = image.topics().by_id(found.loaded.topic_id?)?;
            Some(topic.partition(found.loaded.partition.partition)?.replica_on(self.me).is_some())
        };
        let all = self.unclaimed.lock().take();
        for found in all {
            match held(&found) {
                Some(false) => self.discard(found, "deleting the log of a replica that has moved to another broker"),
                known => {
                    if known.is_none() {
                        warn!(partition = %found.loaded.partition, "a log of no known topic is left alone");
                    }
                    self.unclaimed.lock().add(found);
                }
            }
        }
    }

    /// Partitions whose log was found damaged at the start.
    pub fn damaged(&self) -> Vec<(TopicId, i32)> {
        let unclaimed = self.unclaimed.lock();
        let damaged = unclaimed.iter().filter(|found| found.loaded.log.is_err());
        damaged.filter_map(|found| Some((found.loaded.topic_id?, found.loaded.partition.partition))).collect()
    }
}
