//! Opens, creates, reconfigures and deletes the replicas that the metadata gives this broker, and stops them in order.
//!
//! Its calls do file work and may block; they are made by the metadata publisher and by background tasks, never by a
//! connection.

mod directories;
mod maintenance;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottla_core::config::Layers;
use ottla_core::metadata::{Image, LocalChanges, LocalPartition, RemovedPartition, Resource};
use ottla_core::partition::LeaderTerm;
use ottla_core::{BrokerId, DirectoryId, TopicId, TopicName, TopicPartition};
use ottla_storage::{LoadedLog, LogDir};
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

use self::directories::FlushRouter;
use super::{Error, LocalTopic, Partition, TopicSettings, Topics};
use crate::clock::Clock;
use crate::config::{Config, Storage};
use crate::controller::Replicas;
use crate::telemetry::Metrics;

pub use directories::Directory;

/// All replicas of this broker.
pub struct Manager {
    me: BrokerId,
    config: Arc<Config>,
    metrics: Metrics,
    clock: Clock,
    topics: Topics,
    router: Arc<FlushRouter>,
    directories: RwLock<Vec<LogDir>>,
    /// Logs found at start that no partition has asked for yet.
    unclaimed: Mutex<HashMap<TopicPartition, LoadedLog>>,
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

    /// The time, as replicas see it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What fails for one partition is logged and does not stop the others.
    fn apply_changes(&self, changes: &LocalChanges, image: &Image) {
        for removed in &changes.delete {
            self.delete(removed);
        }
        let mut drafts: HashMap<TopicId, LocalTopic> = HashMap::new();
        for local in &changes.lead {
            self.place(local, image, &mut drafts, |partition, settings| {
                let state = &local.state;
                let term = LeaderTerm {
                    leader: self.me,
                    leader_epoch: state.leader_epoch,
                    partition_epoch: state.partition_epoch,
                    replicas: state.brokers().collect(),
                    isr: state.isr.clone(),
                };
                partition.lead(term, settings, self.clock.now())
            });
        }
        for local in &changes.follow {
            self.place(local, image, &mut drafts, |partition, _| {
                partition.follow(local.state.leader, local.state.leader_epoch);
                Ok(())
            });
        }
        self.topics.put(drafts.into_values());
        if changes.broker_config {
            self.set_free_space_reserve(image);
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
        begin: impl FnOnce(&Partition, Arc<TopicSettings>) -> Result<(), Error>,
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
                Ok(partition) => Arc::clone(draft.partitions[index].insert(partition)),
                Err(error) => return error!(partition = %local.partition, %error, "cannot open the replica"),
            },
        };
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
        LocalTopic { name, id: local.topic_id, settings, partitions: Vec::new() }
    }

    /// What the configuration says of a topic, over all its layers.
    fn settings(&self, topic: &TopicName, image: &Image) -> TopicSettings {
        let none = BTreeMap::new();
        let topic = image.config(&Resource::topic(topic.as_str())).map_or(&none, |values| &**values);
        self.with_layers(image, |layers| TopicSettings::read(layers, topic))
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
        let found = self.unclaimed.lock().remove(&local.partition);
        let found = found.and_then(|found| self.claim(found, local.topic_id));
        let (mut log, high_watermark) = match found {
            Some(found) => found?,
            None => (self.create_log(local, &settings)?, ottla_core::Offset::ZERO),
        };
        log.set_config(Arc::clone(&settings.log));
        Ok(self.router.adopt(
            local.topic_id,
            log,
            settings,
            high_watermark,
            self.metrics.topic(local.partition.topic.as_str()),
        ))
    }

    /// The log found at start, if it is the one of this topic; one of an earlier topic of that name goes.
    fn claim(
        &self,
        found: LoadedLog,
        topic_id: TopicId,
    ) -> Option<Result<(ottla_storage::Log, ottla_core::Offset), Error>> {
        let is_same = found.topic_id.is_none_or(|id| id == topic_id);
        match found.log {
            Ok((log, _)) if is_same => Some(Ok((log, found.high_watermark))),
            Ok((log, _)) => {
                info!(partition = %found.partition, "deleting the log of an earlier topic of this name");
                self.delete_log(log);
                None
            }
            Err(damage) => {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidData, damage);
                let path = found.partition.to_string().into();
                Some(Err(ottla_storage::Error::Io { operation: "serve", path, source }.into()))
            }
        }
    }

    fn create_log(&self, local: &LocalPartition, settings: &TopicSettings) -> Result<ottla_storage::Log, Error> {
        let directories = self.directories.read();
        let directory = if local.directory == DirectoryId::ZERO {
            self.router.least_used(&directories)
        } else {
            directories.iter().find(|dir| dir.id() == local.directory)
        };
        let directory = directory.ok_or(Error::UnknownPartition)?;
        let handle = self.router.next_handle();
        let config = Arc::clone(&settings.log);
        Ok(directory.create(local.partition.clone(), local.topic_id, config, handle, self.clock.now())?)
    }

    fn delete(&self, removed: &RemovedPartition) {
        let Some(topic) = self.topics.by_id(removed.topic_id) else { return };
        let Some(partition) = topic.partition(removed.partition.partition).cloned() else { return };
        let mut rest = LocalTopic::clone(&topic);
        rest.partitions[removed.partition.partition as usize] = None;
        if rest.partitions.iter().all(Option::is_none) {
            self.topics.remove(&topic.name, topic.id);
        } else {
            self.topics.put([rest]);
        }
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
