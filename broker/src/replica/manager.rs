//! Opens, creates, reconfigures and deletes the replicas that the metadata gives this broker, and stops them in order.
//!
//! Its calls do file work and may block; they are made by the metadata publisher and by background tasks, never by a
//! connection.

mod cleaning;
mod directories;
mod maintenance;
mod moving;
mod opening;
mod reports;
mod unclaimed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_core::config::Layers;
use ottla_core::metadata::{Image, LocalChanges, LocalPartition, RemovedPartition, Resource};
use ottla_core::partition::{FollowerTerm, LeaderTerm};
use ottla_core::{BrokerId, TopicId, TopicName};
use ottla_storage::LogDir;
use parking_lot::{Mutex, RwLock};
use tracing::{error, warn};

use self::directories::FlushRouter;
use self::moving::Moves;
use self::reports::Reports;
use self::unclaimed::Unclaimed;
use super::cleaner::Cleaner;
use super::fetcher::Fetchers;
use super::isr::Proposals;
use super::partition::Links;
use super::{Error, LocalTopic, Partition, Throttles, TopicSettings, Topics};
use crate::clock::Clock;
use crate::config::{Config, Storage};
use crate::controller::Replicas;
use crate::telemetry::Metrics;

pub use directories::Directory;
pub use moving::{FutureReplica, MoveError};

const MOVE_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// All replicas of this broker.
pub struct Manager {
    me: BrokerId,
    config: Arc<Config>,
    metrics: Metrics,
    clock: Clock,
    topics: Topics,
    router: Arc<FlushRouter>,
    proposals: Arc<Proposals>,
    fetchers: Arc<Fetchers>,
    throttles: Arc<Throttles>,
    directories: RwLock<Vec<LogDir>>,
    /// Directories that could not be opened at the start.
    missing: Vec<Directory>,
    /// Logs found at start that no partition has asked for yet, or that are damaged.
    unclaimed: Mutex<Unclaimed>,
    /// What was moved away before the start is still to be deleted.
    is_first_image: AtomicBool,
    reports: Arc<Reports>,
    moves: Moves,
    cleaner: Cleaner,
}

impl Replicas for Manager {
    fn apply(&self, changes: &LocalChanges, image: &Arc<Image>) {
        self.apply_changes(changes, image);
    }
}

impl Manager {
    /// The topics that have replicas here.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// What is counted here and of requests.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What leaders propose to the controller.
    pub fn proposals(&self) -> &Arc<Proposals> {
        &self.proposals
    }

    /// What fetches for the replicas that follow.
    pub fn fetchers(&self) -> &Arc<Fetchers> {
        &self.fetchers
    }

    /// How fast replicas that lag are copied.
    pub fn throttles(&self) -> &Arc<Throttles> {
        &self.throttles
    }

    /// The partition that the flusher knows under `handle`.
    pub(super) fn partition_of_handle(&self, handle: u64) -> Option<Arc<Partition>> {
        self.router.partition(handle)
    }

    /// The time, as replicas see it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What fails for one partition is logged and does not stop the others.
    fn apply_changes(&self, changes: &LocalChanges, image: &Image) {
        for removed in &changes.delete {
            self.delete(removed);
        }
        let mut drafts = self.reconfigured(changes, image);
        for local in &changes.lead {
            self.place(local, image, &mut drafts, |partition, settings| {
                let term = LeaderTerm::new(self.me, &local.state);
                self.fetchers.release(partition);
                partition.lead(term, settings, self.clock.now())
            });
        }
        for local in &changes.follow {
            let term = FollowerTerm { leader: local.state.leader, leader_epoch: local.state.leader_epoch };
            let is_in_sync = local.state.isr.contains(&self.me);
            self.place(local, image, &mut drafts, |partition, _| {
                self.fetchers.assign(partition, term.leader, is_in_sync);
                partition.follow(term);
                Ok(())
            });
        }
        self.topics.put(drafts.into_values());
        if self.is_first_image.swap(false, Ordering::Relaxed) {
            self.delete_moved(image);
        }
        if changes.broker_config {
            self.set_free_space_reserve(image);
            self.set_move_rate(image);
            self.configure_cleaner(image);
            self.throttles.configure(image, self.clock.now());
            let all: Vec<TopicName> = self.topics.all().iter().map(|topic| topic.name.clone()).collect();
            self.reconfigure(&all, image);
        } else {
            self.reconfigure(&changes.reconfigure, image);
        }
    }

    /// Makes sure that the replica is here, gives it its role by `begin`, and notes it in the draft of its topic.
    fn place(
        &self,
        local: &LocalPartition,
        image: &Image,
        drafts: &mut HashMap<TopicId, LocalTopic>,
        begin: impl FnOnce(&Arc<Partition>, Arc<TopicSettings>) -> Result<(), Error>,
    ) {
        let draft = drafts.entry(local.topic_id).or_insert_with(|| self.draft(local, image));
        let Ok(index) = usize::try_from(local.partition.partition) else { return };
        if draft.partitions.len() <= index {
            draft.partitions.resize(index + 1, None);
        }
        let settings = Arc::clone(&draft.settings);
        let partition = match &draft.partitions[index] {
            Some(partition) => Arc::clone(partition),
            None => match self.open_replica(local, Arc::clone(&settings)) {
                Ok(partition) => {
                    draft.offline.remove(&local.partition.partition);
                    self.resume_move(&partition);
                    Arc::clone(draft.partitions[index].insert(partition))
                }
                Err(error) => {
                    draft.offline.insert(local.partition.partition);
                    return error!(partition = %local.partition, %error, "cannot open the replica");
                }
            },
        };
        partition.set_adding(&local.state.adding);
        if let Err(error) = begin(&partition, settings) {
            error!(partition = %local.partition, %error, "cannot lead the partition");
        }
    }

    fn draft(&self, local: &LocalPartition, image: &Image) -> LocalTopic {
        if let Some(topic) = self.topics.by_id(local.topic_id) {
            return LocalTopic::clone(&topic);
        }
        let name = local.partition.topic.clone();
        let settings = Arc::new(self.settings(&name, image));
        LocalTopic { name, id: local.topic_id, settings, partitions: Vec::new(), offline: BTreeSet::new() }
    }

    /// Drafts of the topics whose settings are new: leaders get theirs together with their ISR, in one step.
    fn reconfigured(&self, changes: &LocalChanges, image: &Image) -> HashMap<TopicId, LocalTopic> {
        let is_new = |topic: &&Arc<LocalTopic>| changes.broker_config || changes.reconfigure.contains(&topic.name);
        let all = self.topics.all();
        let drafts = all.iter().filter(is_new).map(|topic| {
            let settings = Arc::new(self.settings(&topic.name, image));
            (topic.id, LocalTopic { settings, ..LocalTopic::clone(topic) })
        });
        drafts.collect()
    }

    /// What the configuration says of a topic, over all its layers.
    fn settings(&self, topic: &TopicName, image: &Image) -> TopicSettings {
        let none = BTreeMap::new();
        let topic = image.config(&Resource::topic(topic.as_str())).map_or(&none, |values| &**values);
        self.with_layers(image, |layers| TopicSettings::read(layers, topic))
    }

    /// `replica.alter.log.dirs.io.max.bytes.per.second`; Kafka knows it as a dynamic key of single brokers only.
    fn set_move_rate(&self, image: &Image) {
        let own = image.config_value(&Resource::broker(self.me.to_string()), MOVE_RATE);
        let value = own.or_else(|| image.config_value(&Resource::every_broker(), MOVE_RATE));
        let rate = value.and_then(|value| value.trim().parse().ok());
        self.moves.set_rate(rate, self.clock.now().monotonic);
    }

    fn set_free_space_reserve(&self, image: &Image) {
        let reserve = self.with_layers(image, Storage::read).free_space_reserve;
        self.directories.read().iter().for_each(|directory| directory.space().set_reserve(reserve));
    }

    fn with_layers<T>(&self, image: &Image, read: impl FnOnce(&Layers<'_>) -> T) -> T {
        let none = BTreeMap::new();
        let of = |resource: &Resource| image.config(resource).map_or(&none, |values| &**values);
        let (broker, cluster) = (Resource::broker(self.me.to_string()), Resource::every_broker());
        read(&self.config.layers(of(&broker), of(&cluster)))
    }

    fn open_replica(&self, local: &LocalPartition, settings: Arc<TopicSettings>) -> Result<Arc<Partition>, Error> {
        let (mut log, high_watermark) = self.find_or_create(local, &settings)?;
        log.set_config(Arc::clone(&settings.log));
        Ok(self.router.adopt(
            local.topic_id,
            log,
            settings,
            high_watermark,
            Links {
                proposals: Arc::clone(&self.proposals),
                throttles: Arc::clone(&self.throttles),
                counters: self.metrics.topic(local.partition.topic.as_str()),
            },
        ))
    }

    fn delete(&self, removed: &RemovedPartition) {
        let Some(topic) = self.topics.by_id(removed.topic_id) else { return };
        let index = removed.partition.partition;
        let mut rest = LocalTopic::clone(&topic);
        rest.offline.remove(&index);
        let place = usize::try_from(index).ok().and_then(|index| rest.partitions.get_mut(index));
        let partition = place.and_then(Option::take);
        if rest.offline.is_empty() && rest.partitions.iter().all(Option::is_none) {
            self.topics.remove(&topic.name, topic.id);
        } else {
            self.topics.put([rest]);
        }
        self.end_move(&removed.partition);
        let Some(partition) = partition else { return };
        self.fetchers.release(&partition);
        if let Some(log) = self.router.release(&partition) {
            self.delete_log(log);
        }
    }

    fn delete_log(&self, log: ottla_storage::Log) {
        let partition = log.partition().clone();
        let directories = self.directories.read();
        let Some(directory) = directories.iter().find(|dir| dir.path() == log.directory()) else { return };
        if let Err(error) = directory.delete(log) {
            warn!(%partition, %error, "cannot delete the log");
        }
    }

    fn reconfigure(&self, names: &[TopicName], image: &Image) {
        for name in names {
            let Some(topic) = self.topics.by_name(name.as_str()) else { continue };
            let settings = Arc::new(self.settings(name, image));
            for partition in topic.partitions.iter().flatten() {
                partition.reconfigure(Arc::clone(&settings));
            }
            self.topics.put([LocalTopic { settings, ..LocalTopic::clone(&topic) }]);
        }
    }
}
