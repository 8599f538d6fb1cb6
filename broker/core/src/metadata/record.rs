//! The records of the metadata log: facts, never commands, so that mixed versions of Ottla replay alike.
//!
//! A new kind of metadata is a variant here, a message in `proto/metadata.proto`, an arm in [`super::wire`] and one in
//! [`super::Image::apply`].

use std::sync::Arc;

use super::{Broker, Partition, PartitionChange, Resource};
use crate::quota::{Limit, QuotaEntity, QuotaKey};
use crate::{BrokerEpoch, BrokerId, ControllerEpoch, DirectoryId, LogIndex, ProducerId, TopicId, TopicName};

/// One fact about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The cluster came to be; the first record of every log.
    ClusterFounded {
        /// What every broker's `meta.properties` must say.
        cluster_id: String,
    },
    /// A feature runs at `level` from here on; 0 takes it away (KIP-584).
    Feature {
        /// `ottla.version`, `group.version`, …
        name: String,
        /// The finalized level.
        level: i16,
    },
    /// A broker's new uptime begins; replaces what was known of the broker.
    BrokerRegistered(Arc<Broker>),
    /// The controller changed its mind about a broker.
    BrokerChanged(BrokerChange),
    /// The broker is no part of the cluster any more.
    BrokerUnregistered {
        /// The broker.
        broker: BrokerId,
        /// Its last uptime.
        epoch: BrokerEpoch,
    },
    /// A topic without partitions yet.
    TopicCreated {
        /// Its name.
        name: TopicName,
        /// Its identity.
        id: TopicId,
    },
    /// The topic, its partitions and its configurations are gone.
    TopicDeleted {
        /// Its identity.
        id: TopicId,
    },
    /// A topic's next partition.
    PartitionCreated {
        /// The topic.
        topic: TopicId,
        /// Index: always the number of partitions the topic had.
        partition: i32,
        /// Its first state.
        state: Arc<Partition>,
    },
    /// A partition's leader, in-sync sets or assignment changed.
    PartitionChanged {
        /// The topic.
        topic: TopicId,
        /// Index.
        partition: i32,
        /// What is different.
        change: PartitionChange,
    },
    /// One key of a resource is set, or with `None` no longer set.
    ConfigChanged {
        /// What it belongs to.
        resource: Resource,
        /// The key.
        key: String,
        /// The value as given.
        value: Option<String>,
    },
    /// A quota of clients is set, or with `None` no longer set.
    QuotaChanged {
        /// For whom.
        entity: QuotaEntity,
        /// Of what.
        key: QuotaKey,
        /// How much a second.
        limit: Option<Limit>,
    },
    /// A broker got a block of producer ids.
    ProducerIdsAllocated {
        /// The broker.
        broker: BrokerId,
        /// Its uptime.
        broker_epoch: BrokerEpoch,
        /// The first id that no block has yet.
        next: ProducerId,
    },
}

/// What the controller changed about a broker: what is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerChange {
    /// The broker.
    pub broker: BrokerId,
    /// The uptime it is about.
    pub epoch: BrokerEpoch,
    /// See [`Broker::fenced`].
    pub fenced: Option<bool>,
    /// See [`Broker::cordoned`].
    pub cordoned: Option<bool>,
    /// See [`Broker::in_controlled_shutdown`].
    pub in_controlled_shutdown: Option<bool>,
    /// See [`Broker::directories`].
    pub directories: Option<Vec<DirectoryId>>,
}

impl BrokerChange {
    /// No change yet to this uptime of `broker`.
    pub fn of(broker: &Broker) -> Self {
        Self {
            broker: broker.id,
            epoch: broker.epoch,
            fenced: None,
            cordoned: None,
            in_controlled_shutdown: None,
            directories: None,
        }
    }
}

/// One entry of the metadata log: the records of one batch of decisions, applied whole or not at all.
///
/// A controller decides on the image it has, and its entry means what it decided only on that very image. So every
/// broker skips the entry, all alike, unless the controller still reigns and nothing came between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The reign of the controller that decided.
    pub controller_epoch: ControllerEpoch,
    /// The log index of the image it decided on.
    pub decided_on: LogIndex,
    /// What it decided.
    pub records: Vec<Record>,
}
