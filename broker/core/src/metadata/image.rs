//! The cluster as of one index of the metadata log.
//!
//! An image never changes once shared: whoever wants the next one clones it (which copies a few pointers) and applies
//! records to the clone. Replay is all there is to it; that records make sense was seen to when they were decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{BrokerChange, Entry, Record};
use super::shards::Shards;
use super::{Address, Broker, Replica, Resource, ResourceKind, Topic, Topics};
use crate::config;
use crate::mutant::{self, Mutant};
use crate::quota::QuotaTable;
use crate::{BrokerEpoch, BrokerId, ControllerEpoch, LogIndex, ProducerId, TopicId};

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controller {
    /// The broker on which the controller runs: the leader of the metadata log.
    pub broker: BrokerId,
    /// Its reign.
    pub epoch: ControllerEpoch,
}

/// A record that the image has no place for: the log does not hold what a controller decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A topic was created under a name or an id that another has.
    #[error("topic {0} is created twice")]
    TopicTwice(TopicId),
    /// A record is about a topic that is not there.
    #[error("topic {0} is unknown")]
    UnknownTopic(TopicId),
    /// A record is about a partition that is not there, or creates one out of turn.
    #[error("partition {1} of topic {0} is unknown or out of turn")]
    UnknownPartition(TopicId, i32),
    /// A record is about an uptime of a broker that is not the registered one.
    #[error("broker {0} is not registered with epoch {1}")]
    UnknownBroker(BrokerId, BrokerEpoch),
}

/// What is set on one resource.
type Config = Arc<BTreeMap<String, String>>;

/// The cluster as of one index of the metadata log; a clone is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    index: LogIndex,
    controller: Option<Controller>,
    cluster_id: Arc<str>,
    features: Arc<BTreeMap<String, i16>>,
    brokers: Arc<BTreeMap<BrokerId, Arc<Broker>>>,
    topics: Topics,
    partitions: usize,
    configs: Shards<Resource, Config>,
    client_metrics: Arc<BTreeMap<String, Config>>,
    quotas: Arc<QuotaTable>,
    next_producer_id: ProducerId,
}

impl Image {
    /// Index of the last entry applied.
    pub fn index(&self) -> LogIndex {
        self.index
    }

    /// Who decided last, once anyone has.
    pub fn controller(&self) -> Option<Controller> {
        self.controller
    }

    /// The cluster's id; empty before it is founded.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Every finalized feature and its level.
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// The finalized level of `feature`; 0 when it is not finalized.
    pub fn feature(&self, feature: &str) -> i16 {
        self.features.get(feature).copied().unwrap_or(0)
    }

    /// Every registered broker, fenced ones included.
    pub fn brokers(&self) -> &BTreeMap<BrokerId, Arc<Broker>> {
        &self.brokers
    }

    /// The broker `id`, if it is registered.
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// What clients that came by `listener` are told of `broker`: what was set while it runs, else what it registered.
    /// `None` if it is not registered, or not to be reached by that listener.
    pub fn address(&self, broker: BrokerId, listener: &str) -> Option<Address<'_>> {
        let registered = self.broker(broker)?;
        let set = self.config_value(&Resource::broker(broker.to_string()), config::ADVERTISED).unwrap_or_default();
        let set = config::addresses(set).find(|address| address.listener.eq_ignore_ascii_case(listener));
        let set = set.map(|address| Address { host: address.host, port: address.port });
        set.or_else(|| registered.endpoint(listener).map(|one| Address { host: &one.host, port: one.port }))
    }

    /// Whether `broker` may lead partitions and be in their ISR.
    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.broker(broker).is_some_and(|broker| broker.is_active())
    }

    /// Whether the copy can be served: its broker is not fenced, and has the directory it lies in.
    pub fn is_online(&self, replica: &Replica) -> bool {
        self.broker(replica.broker).is_some_and(|broker| !broker.fenced && broker.has_directory(replica.directory))
    }

    /// Every topic.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// The topic `name`.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.by_name(name)
    }

    /// How many partitions there are over all topics.
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    /// What is set on `resource`; `None` when nothing is.
    pub fn config(&self, resource: &Resource) -> Option<&Config> {
        self.configs.get(resource)
    }

    /// Everything on which anything is set.
    pub fn configs(&self) -> impl Iterator<Item = (&Resource, &Config)> {
        self.configs.iter()
    }

    /// What `key` is set to on `resource`.
    pub fn config_value(&self, resource: &Resource, key: &str) -> Option<&str> {
        self.config(resource)?.get(key).map(String::as_str)
    }

    /// What is configured differently in `new`, found without looking at what the two share.
    pub(super) fn changed_configs(&self, new: &Self) -> Vec<Resource> {
        let candidates = Shards::candidates(&self.configs, &new.configs);
        candidates.filter(|(_, before, after)| before != after).map(|(resource, ..)| resource.clone()).collect()
    }

    /// Those of [`configs`](Self::configs) that are subscriptions to metrics of clients, by name: the same `Arc` as long as
    /// none has changed.
    pub fn client_metrics(&self) -> &Arc<BTreeMap<String, Config>> {
        &self.client_metrics
    }

    /// What clients may use.
    pub fn quotas(&self) -> &Arc<QuotaTable> {
        &self.quotas
    }

    /// The first producer id that no block has yet.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// Replays one entry, or skips it if it was decided by another controller or on another image; says whether it
    /// was applied. On an error the image is half changed and must be dropped.
    pub fn apply_entry(&mut self, index: LogIndex, entry: &Entry) -> Result<bool, ApplyError> {
        let reigns = self.controller.is_some_and(|controller| controller.epoch == entry.controller_epoch);
        let counts = reigns && self.index == entry.decided_on || mutant::is(Mutant::StaleEntryCounts);
        if counts {
            for record in &entry.records {
                self.apply(record)?;
            }
        }
        self.index = index;
        Ok(counts)
    }

    /// Passes an entry of the log that holds no records.
    pub fn advance(&mut self, index: LogIndex) {
        self.index = index;
    }

    /// Passes the first entry of a new leader: its controller reigns from here on.
    pub fn begin_reign(&mut self, index: LogIndex, broker: BrokerId) {
        self.index = index;
        self.controller = Some(Controller { broker, epoch: ControllerEpoch(index.0) });
    }

    /// Replays one record. On an error the image is unchanged.
    pub fn apply(&mut self, record: &Record) -> Result<(), ApplyError> {
        match record {
            Record::ClusterFounded { cluster_id } => self.cluster_id = cluster_id.as_str().into(),
            Record::Feature { name, level: 0 } => drop(Arc::make_mut(&mut self.features).remove(name)),
            Record::Feature { name, level } => drop(Arc::make_mut(&mut self.features).insert(name.clone(), *level)),
            Record::BrokerRegistered(broker) => {
                Arc::make_mut(&mut self.brokers).insert(broker.id, Arc::clone(broker));
            }
            Record::BrokerChanged(change) => self.change_broker(change)?,
            Record::BrokerUnregistered { broker, epoch } => {
                self.registered(*broker, *epoch)?;
                Arc::make_mut(&mut self.brokers).remove(broker);
                self.configs.remove(&Resource::broker(broker.to_string()));
            }
            Record::TopicCreated { name, id } => {
                self.topics.create(name, *id).then_some(()).ok_or(ApplyError::TopicTwice(*id))?;
            }
            Record::TopicDeleted { id } => {
                let topic = self.topics.delete(*id).ok_or(ApplyError::UnknownTopic(*id))?;
                self.partitions -= topic.partitions.len();
                self.configs.remove(&Resource::topic(topic.name.as_str()));
            }
            Record::PartitionCreated { topic, partition, state } => {
                let added = self.topics.add_partition(*topic, *partition, state);
                added.then_some(()).ok_or(ApplyError::UnknownPartition(*topic, *partition))?;
                self.partitions += 1;
            }
            Record::PartitionChanged { topic, partition, change } => {
                let changed = self.topics.change_partition(*topic, *partition, change);
                changed.then_some(()).ok_or(ApplyError::UnknownPartition(*topic, *partition))?;
            }
            Record::ConfigChanged { resource, key, value } => self.configure(resource, key, value.as_deref()),
            Record::QuotaChanged { entity, key, limit } => Arc::make_mut(&mut self.quotas).set(entity, *key, *limit),
            Record::ProducerIdsAllocated { next, .. } => self.next_producer_id = *next,
        }
        Ok(())
    }

    fn registered(&self, id: BrokerId, epoch: BrokerEpoch) -> Result<&Arc<Broker>, ApplyError> {
        let broker = self.brokers.get(&id).filter(|broker| broker.epoch == epoch);
        broker.ok_or(ApplyError::UnknownBroker(id, epoch))
    }

    fn change_broker(&mut self, change: &BrokerChange) -> Result<(), ApplyError> {
        let mut broker = Broker::clone(self.registered(change.broker, change.epoch)?);
        broker.fenced = change.fenced.unwrap_or(broker.fenced);
        broker.cordoned = change.cordoned.unwrap_or(broker.cordoned);
        broker.in_controlled_shutdown = change.in_controlled_shutdown.unwrap_or(broker.in_controlled_shutdown);
        if let Some(directories) = &change.directories {
            broker.directories.clone_from(directories);
        }
        Arc::make_mut(&mut self.brokers).insert(broker.id, Arc::new(broker));
        Ok(())
    }

    fn configure(&mut self, resource: &Resource, key: &str, value: Option<&str>) {
        let mut config = self.configs.get(resource).map(|config| BTreeMap::clone(config)).unwrap_or_default();
        match value {
            Some(value) => config.insert(key.to_owned(), value.to_owned()),
            None => config.remove(key),
        };
        let config = (!config.is_empty()).then(|| Arc::new(config));
        if resource.kind == ResourceKind::ClientMetrics {
            let subscriptions = Arc::make_mut(&mut self.client_metrics);
            match &config {
                Some(config) => subscriptions.insert(resource.name.clone(), Arc::clone(config)),
                None => subscriptions.remove(&resource.name),
            };
        }
        match config {
            Some(config) => drop(self.configs.insert(resource.clone(), config)),
            None => drop(self.configs.remove(resource)),
        }
    }
}
