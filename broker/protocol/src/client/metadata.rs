//! What the client knows of the cluster, and how it learns it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Client, Error};
use crate::ErrorCode;
use crate::codec::Str;
use crate::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};

/// A broker's `node.id`. −1 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<i32> for BrokerId {
    fn from(id: i32) -> Self {
        Self(id)
    }
}

/// Where a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// Its id.
    pub id: BrokerId,
    /// Its advertised host.
    pub host: Str,
    /// Its advertised port.
    pub port: i32,
    /// Its rack, if known.
    pub rack: Option<Str>,
}

/// A partition as a broker's metadata described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// Epoch of that leader; −1 if not known.
    pub leader_epoch: i32,
    /// All replicas.
    pub replicas: Vec<BrokerId>,
    /// The in-sync ones.
    pub in_sync_replicas: Vec<BrokerId>,
}

/// A topic as a broker's metadata described it.
#[derive(Clone, Debug)]
pub struct TopicMetadata {
    /// Its id; zero if the broker gave none.
    pub id: Uuid,
    /// Its partitions by index.
    pub partitions: HashMap<i32, PartitionMetadata>,
    learned: Instant,
}

/// The brokers of a cluster and the topics asked for so far.
#[derive(Clone, Debug, Default)]
pub struct ClusterMetadata {
    /// The cluster's id, if known.
    pub cluster_id: Option<Str>,
    /// Where to send administrative requests, if the cluster says so.
    pub controller: Option<BrokerId>,
    /// The live brokers.
    pub brokers: HashMap<BrokerId, BrokerEndpoint>,
    /// Topics by name.
    pub topics: HashMap<Str, TopicMetadata>,
}

impl ClusterMetadata {
    /// What was known, with an answer taken in.
    fn with(&self, response: MetadataResponse) -> Self {
        let id = |id: i32| (id >= 0).then_some(BrokerId(id));
        let brokers = response.brokers.into_iter().map(|broker| {
            let id = BrokerId(broker.node_id);
            (id, BrokerEndpoint { id, host: broker.host, port: broker.port, rack: broker.rack })
        });
        let mut topics = self.topics.clone();
        for topic in response.topics {
            let Some(name) = topic.name.clone() else { continue };
            if topic.error_code.is_none() {
                topics.insert(name, TopicMetadata::from(topic));
            } else {
                topics.remove(&name);
            }
        }
        Self {
            cluster_id: response.cluster_id,
            controller: id(response.controller_id),
            brokers: brokers.collect(),
            topics,
        }
    }
}

impl From<MetadataResponseTopic> for TopicMetadata {
    fn from(topic: MetadataResponseTopic) -> Self {
        let ids = |nodes: Vec<i32>| nodes.into_iter().map(BrokerId).collect();
        let partitions = topic.partitions.into_iter().map(|partition| {
            let metadata = PartitionMetadata {
                leader: (partition.leader_id >= 0).then_some(BrokerId(partition.leader_id)),
                leader_epoch: partition.leader_epoch,
                replicas: ids(partition.replica_nodes),
                in_sync_replicas: ids(partition.isr_nodes),
            };
            (partition.partition_index, metadata)
        });
        Self { id: topic.topic_id, partitions: partitions.collect(), learned: Instant::now() }
    }
}

impl Client {
    /// What is known without asking.
    pub fn metadata(&self) -> Arc<ClusterMetadata> {
        self.cluster.metadata.lock().clone()
    }

    /// Asks any broker for the brokers of the cluster and for `topics`, which are not created if they do not exist.
    /// Topics that the answer has an error for are forgotten.
    pub async fn refresh_metadata(&self, topics: &[&str]) -> Result<Arc<ClusterMetadata>, Error> {
        let _single = self.cluster.refreshing.lock().await;
        self.ask_for_metadata(topics).await.map(|(metadata, _)| metadata)
    }

    /// A topic, from the cache unless it is not there or too old.
    pub async fn topic(&self, name: &str) -> Result<TopicMetadata, Error> {
        if let Some(topic) = self.fresh_topic(name) {
            return Ok(topic);
        }
        let _single = self.cluster.refreshing.lock().await;
        if let Some(topic) = self.fresh_topic(name) {
            return Ok(topic);
        }
        let (metadata, code) = self.ask_for_metadata(&[name]).await?;
        metadata.topics.get(name).cloned().ok_or_else(|| Error::Broker { what: format!("topic {name}"), code })
    }

    fn fresh_topic(&self, name: &str) -> Option<TopicMetadata> {
        let metadata = self.cluster.metadata.lock();
        let topic = metadata.topics.get(name)?;
        (topic.learned.elapsed() < self.config.metadata_max_age).then(|| topic.clone())
    }

    /// Forgets a topic, so that the next use asks again.
    pub(super) fn forget_topic(&self, name: &str) {
        let mut metadata = self.cluster.metadata.lock();
        if metadata.topics.contains_key(name) {
            Arc::make_mut(&mut metadata).topics.remove(name);
        }
    }

    /// Asks and remembers; also returns the first error of a topic, or UNKNOWN_TOPIC_OR_PARTITION if none was named.
    async fn ask_for_metadata(&self, topics: &[&str]) -> Result<(Arc<ClusterMetadata>, ErrorCode), Error> {
        let connection = self.any_connection().await?;
        let version = connection.version::<MetadataRequest>(i16::MAX)?;
        let named = topics.iter().map(|name| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() });
        let request = MetadataRequest {
            topics: Some(named.collect()),
            // Versions before 4 have no say in this.
            allow_auto_topic_creation: version < 4,
            ..Default::default()
        };
        let response = connection.call(&request, version).await?;
        if response.error_code.is_error() {
            return Err(Error::Broker { what: "metadata".to_owned(), code: response.error_code });
        }
        let code = response.topics.iter().map(|topic| topic.error_code).find(|code| code.is_error());
        let mut known = self.cluster.metadata.lock();
        let updated = Arc::new(known.with(response));
        *known = updated.clone();
        Ok((updated, code.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)))
    }
}
