//! What the operator asks of a cluster's brokers, and nothing of how the wire looks.
//!
//! One seam, [`ClusterAdmin`], with an implementation over ottla-protocol and a fake in memory for tests. Every call is
//! idempotent or refused with a code that says the work is already done, because any answer can be lost.

#[cfg(test)]
pub mod fake;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use ottla_core::ids::{BrokerId, TopicId};

pub use wire::WireConnector;

/// The result of asking a cluster.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a cluster did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No broker answered, or the answer cannot come now: trying again helps.
    #[error("no broker answers: {0}")]
    Unreachable(String),
    /// The answer is no, and will be as long as the request is the same.
    #[error("{code}{}", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The name of Kafka's error code.
        code: String,
        /// The broker's own sentence.
        message: Option<String>,
    },
}

/// The brokers and partitions of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster's id as its brokers know it.
    pub cluster_id: String,
    /// The registered, unfenced brokers.
    pub brokers: Vec<BrokerId>,
    /// Every topic, the internal ones too.
    pub topics: Vec<TopicView>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
    /// Its partitions, in order of their numbers.
    pub partitions: Vec<PartitionView>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// Who shall hold it.
    pub replicas: Vec<BrokerId>,
    /// Who is in sync.
    pub in_sync: Vec<BrokerId>,
}

/// A topic to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` leaves it to the cluster's default.
    pub partitions: Option<i32>,
    /// How many replicas; `None` leaves it to the cluster's default.
    pub replicas: Option<i32>,
    /// Its settings.
    pub config: BTreeMap<String, String>,
}

/// Whose settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConfigOf {
    /// A topic's.
    Topic(String),
    /// All brokers', the cluster-wide defaults that change without a restart.
    Cluster,
}

/// One change of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Give the key this value.
    Set(String, String),
    /// Let the key go back to its default.
    Reset(String),
}

/// The settings that were given to a topic or to the cluster itself, without defaults.
pub type OwnConfig = BTreeMap<String, String>;

/// What the operator asks of a cluster.
pub trait ClusterAdmin: Send + Sync {
    /// Brokers and all partitions.
    fn cluster(&self) -> BoxFuture<'_, Result<ClusterView>>;

    /// One topic; `None` if there is none of that name.
    fn topic<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<TopicView>>>;

    /// What was set on `of` itself; a sensitive value reads as empty.
    fn own_config<'a>(&'a self, of: &'a ConfigOf) -> BoxFuture<'a, Result<OwnConfig>>;

    /// Makes a topic.
    fn create_topic<'a>(&'a self, topic: &'a NewTopic) -> BoxFuture<'a, Result<()>>;

    /// Raises a topic's number of partitions to `total`.
    fn grow_topic<'a>(&'a self, name: &'a str, total: i32) -> BoxFuture<'a, Result<()>>;

    /// Changes settings, all of them or none.
    fn change_config<'a>(&'a self, of: &'a ConfigOf, changes: &'a [ConfigChange]) -> BoxFuture<'a, Result<()>>;

    /// Deletes a topic and its records. That it does not exist is no error.
    fn delete_topic<'a>(&'a self, id: TopicId, name: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// Where the operator gets its [`ClusterAdmin`] for a cluster from.
pub trait Connector: Send + Sync {
    /// A client of the cluster that has brokers at `addresses` (`host:port`, at least one). Cheap: nothing is dialled
    /// before the first call, and clients of one cluster are shared.
    fn connect(&self, addresses: &[String]) -> Arc<dyn ClusterAdmin>;
}

impl TopicView {
    /// The least number of replicas among the partitions; they differ only during a change.
    pub fn replicas(&self) -> usize {
        self.partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0)
    }

    /// How many partitions have fewer in-sync replicas than replicas.
    pub fn under_replicated(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.in_sync.len() < partition.replicas.len()).count()
    }
}
