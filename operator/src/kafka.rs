//! What the operator asks of a cluster's brokers, and nothing of how the wire looks.
//!
//! One seam, [`ClusterAdmin`], with an implementation over Kafka's protocol and the brokers' cluster-control service, and
//! a fake in memory for tests. Every call is idempotent or refused with a code that says the work is already done,
//! because any answer can be lost.

mod bootstrap;
mod control;
#[cfg(test)]
pub mod fake;
mod grpc;
mod log_dirs;
mod placement;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use ottla_core::ids::{BrokerId, TopicId};

pub use bootstrap::{Bootstrap, Control, Token};
pub use control::{BrokerView, DirectoryView, HarmedPartition, PartitionHealth, QuorumView, RestartVerdict, VoterView};
pub use log_dirs::{BrokerAt, LogDir, LogDirMove, LogDirReplica};
pub use placement::{NotReassigned, PartitionPlacement, Reassignment, TopicPlacement};
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionView {
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// Who holds it, and who is to by a reassignment under way.
    pub replicas: Vec<BrokerId>,
    /// Who is in sync.
    pub in_sync: Vec<BrokerId>,
    /// Who of the replicas gets its copy by the reassignment; empty where moves were not asked for.
    pub adding: Vec<BrokerId>,
    /// Whose copy goes when it ends; empty where moves were not asked for.
    pub removing: Vec<BrokerId>,
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
    /// How many partitions have no leader, as any broker counts them: for when the active controller, which counts them
    /// too, does not answer.
    fn leaderless(&self) -> BoxFuture<'_, Result<u32>>;

    /// One topic and the moves of its partitions; `None` if there is none of that name. This and what follows about single
    /// topics goes in requests about many, where calls are made at the same time.
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

    /// Every registered broker, the fenced ones too, in order of ids.
    fn brokers(&self) -> BoxFuture<'_, Result<Vec<BrokerView>>>;

    /// Counts over all partitions.
    fn partition_health(&self) -> BoxFuture<'_, Result<PartitionHealth>>;

    /// What would come of restarting `broker` now.
    fn check_restart(&self, broker: BrokerId) -> BoxFuture<'_, Result<RestartVerdict>>;

    /// Gives `broker` no new replicas, or, with `cordoned` false, does so again. One that is not registered is no refusal
    /// for good: it is `Unreachable`.
    fn cordon(&self, broker: BrokerId, cordoned: bool) -> BoxFuture<'_, Result<()>>;

    /// Has clients of these listeners told these addresses of `broker`: `NAME://host:port`, separated by commas; none takes
    /// back what was set. One that is not registered is no refusal for good: it is `Unreachable`.
    fn advertise<'a>(&'a self, broker: BrokerId, listeners: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Where every partition lies.
    fn placements(&self) -> BoxFuture<'_, Result<Vec<TopicPlacement>>>;

    /// Begins, replaces and calls off reassignments; gives those that the controller refuses. One that is to be called
    /// off and has ended is no refusal.
    fn reassign<'a>(&'a self, wanted: &'a [Reassignment]) -> BoxFuture<'a, Result<Vec<NotReassigned>>>;

    /// Has the preferred leaders of these partitions lead them, where they can.
    fn elect_preferred<'a>(&'a self, partitions: &'a [(String, i32)]) -> BoxFuture<'a, Result<()>>;

    /// The log directories of one broker, from itself.
    fn log_dirs<'a>(&'a self, broker: &'a BrokerAt) -> BoxFuture<'a, Result<Vec<LogDir>>>;

    /// Has replicas of `broker` go to other log directories of it. What it refuses it goes on holding where it lies.
    fn alter_log_dirs<'a>(&'a self, broker: &'a BrokerAt, moves: &'a [LogDirMove]) -> BoxFuture<'a, Result<()>>;

    /// Has the cluster forget `broker`; that it does not know it is no error. What it holds would be lost: ask first.
    fn unregister(&self, broker: BrokerId) -> BoxFuture<'_, Result<()>>;

    /// The metadata quorum.
    fn quorum(&self) -> BoxFuture<'_, Result<QuorumView>>;

    /// Gives `broker` a vote on the metadata; that it has one is no error. One that is no member is `Unreachable`.
    fn add_voter(&self, broker: BrokerId) -> BoxFuture<'_, Result<()>>;

    /// Takes the vote of `broker` with the disk `directory` away; that it has none is no error.
    fn remove_voter<'a>(&'a self, broker: BrokerId, directory: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Takes the disk `directory` of `broker`, which must not vote, out of the quorum for good: it is sent away when it
    /// comes back. That it is no member is no error.
    fn retire_disk<'a>(&'a self, broker: BrokerId, directory: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// Where the operator gets its [`ClusterAdmin`] for a cluster from.
pub trait Connector: Send + Sync {
    /// A client of the cluster that is reached at `bootstrap`. Cheap: nothing is dialled before the first call, and
    /// clients of one cluster are shared.
    fn connect(&self, bootstrap: &Bootstrap) -> Arc<dyn ClusterAdmin>;
}

impl PartitionView {
    /// Whether a reassignment is under way.
    pub fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    fn has_replicas(&self, count: usize) -> bool {
        let staying = self.replicas.iter().filter(|broker| !self.removing.contains(broker)).count();
        self.held().count() == count && staying == count
    }

    /// Those that do not get their copy only now.
    fn held(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.replicas.iter().copied().filter(|broker| !self.adding.contains(broker))
    }
}

impl TopicView {
    /// The least number of replicas among the partitions, without those that get their copy only now; they differ only
    /// during a change.
    pub fn replicas(&self) -> usize {
        self.partitions.iter().map(|partition| partition.held().count()).min().unwrap_or(0)
    }

    /// How many partitions have so many replicas, and will have as many when a reassignment under way has ended.
    pub fn with_replicas(&self, count: i32) -> usize {
        let has_them =
            |partition: &&PartitionView| usize::try_from(count).is_ok_and(|count| partition.has_replicas(count));
        self.partitions.iter().filter(has_them).count()
    }

    /// How many partitions have a replica out of sync that does not get its copy only now.
    pub fn under_replicated(&self) -> usize {
        let lags = |partition: &&PartitionView| partition.held().any(|broker| !partition.in_sync.contains(&broker));
        self.partitions.iter().filter(lags).count()
    }

    /// How many partitions are being moved.
    pub fn moving(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.is_moving()).count()
    }
}
