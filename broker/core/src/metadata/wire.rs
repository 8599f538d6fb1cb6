//! Records as bytes: protobuf, by the schema in `proto/metadata.proto`.
//!
//! Decoding refuses what it does not know. A record kind from a newer Ottla means that this broker cannot tell what
//! the cluster is, so it must stop rather than skip.

mod quotas;

use std::sync::Arc;

use prost::Message;
use uuid::Uuid;

use super::broker::{Broker, Endpoint, FeatureRange, SecurityProtocol};
use super::image::{ApplyError, Controller, Image};
use super::partition::{LeaderRecovery, Partition, PartitionChange, Replica};
use super::record::{BrokerChange, Entry, Record};
use super::resource::{Resource, ResourceKind};
use crate::{
    BrokerEpoch, BrokerId, ControllerEpoch, DirectoryId, LeaderEpoch, LogIndex, PartitionEpoch, ProducerId, TopicId,
    TopicName,
};

#[allow(missing_docs, clippy::all, unused_qualifications)]
mod proto {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/generated/ottla.metadata.v1.rs"));
}

use proto::record::Kind;

/// Why bytes are no record of the metadata log.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf of this schema.
    #[error("malformed metadata: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A record kind of a newer Ottla: this broker must not go on.
    #[error("a metadata record of a kind that this version of Ottla does not know")]
    UnknownKind,
    /// A known kind with a value that this version does not know or that cannot be.
    #[error("a metadata record with an impossible {field}")]
    Impossible {
        /// The field.
        field: &'static str,
    },
    /// A snapshot whose records do not add up.
    #[error("a metadata snapshot that does not add up: {0}")]
    Inconsistent(#[from] ApplyError),
}

impl Entry {
    /// The entry as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let records = self.records.iter().map(to_proto).collect();
        let (controller_epoch, decided_on) = (self.controller_epoch.0, self.decided_on.0);
        proto::Entry { controller_epoch, decided_on, records }.encode_to_vec()
    }

    /// The entry that `bytes` hold.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let entry = proto::Entry::decode(bytes)?;
        Ok(Self {
            controller_epoch: ControllerEpoch(entry.controller_epoch),
            decided_on: LogIndex(entry.decided_on),
            records: entry.records.into_iter().map(from_proto).collect::<Result<_, _>>()?,
        })
    }
}

impl Image {
    /// The image as the bytes of a snapshot.
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let controller = self.controller().unwrap_or(Controller { broker: BrokerId::NONE, epoch: ControllerEpoch(0) });
        let snapshot = proto::Snapshot {
            index: self.index().0,
            controller_epoch: controller.epoch.0,
            controller: controller.broker.0,
            records: self.to_records().iter().map(to_proto).collect(),
        };
        snapshot.encode_to_vec()
    }

    /// The image that the bytes of a snapshot hold.
    pub fn decode_snapshot(bytes: &[u8]) -> Result<Self, DecodeError> {
        let snapshot = proto::Snapshot::decode(bytes)?;
        let controller = (snapshot.controller >= 0).then_some(Controller {
            broker: BrokerId(snapshot.controller),
            epoch: ControllerEpoch(snapshot.controller_epoch),
        });
        let records = snapshot.records.into_iter().map(from_proto).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::from_records(LogIndex(snapshot.index), controller, &records)?)
    }
}

fn to_proto(record: &Record) -> proto::Record {
    let kind = match record {
        Record::ClusterFounded { cluster_id } => {
            Kind::ClusterFounded(proto::ClusterFounded { cluster_id: cluster_id.clone() })
        }
        Record::Feature { name, level } => {
            Kind::Feature(proto::Feature { name: name.clone(), level: i32::from(*level) })
        }
        Record::BrokerRegistered(broker) => Kind::BrokerRegistered(broker_to_proto(broker)),
        Record::BrokerChanged(change) => Kind::BrokerChanged(proto::BrokerChanged {
            broker: change.broker.0,
            epoch: change.epoch.0,
            fenced: change.fenced,
            cordoned: change.cordoned,
            in_controlled_shutdown: change.in_controlled_shutdown,
            directories: change.directories.as_deref().map(|ids| proto::Directories { ids: directory_bytes(ids) }),
        }),
        Record::BrokerUnregistered { broker, epoch } => {
            Kind::BrokerUnregistered(proto::BrokerUnregistered { broker: broker.0, epoch: epoch.0 })
        }
        Record::TopicCreated { name, id } => {
            Kind::TopicCreated(proto::TopicCreated { name: name.to_string(), id: bytes(id.0) })
        }
        Record::TopicDeleted { id } => Kind::TopicDeleted(proto::TopicDeleted { id: bytes(id.0) }),
        Record::PartitionCreated { topic, partition, state } => {
            Kind::PartitionCreated(partition_to_proto(*topic, *partition, state))
        }
        Record::PartitionChanged { topic, partition, change } => {
            Kind::PartitionChanged(change_to_proto(*topic, *partition, change))
        }
        Record::ConfigChanged { resource, key, value } => Kind::ConfigChanged(proto::ConfigChanged {
            resource_type: i32::from(resource.kind.id()),
            resource_name: resource.name.clone(),
            key: key.clone(),
            value: value.clone(),
        }),
        Record::QuotaChanged { entity, key, limit } => Kind::QuotaChanged(quotas::to_proto(entity, *key, *limit)),
        Record::ProducerIdsAllocated { broker, broker_epoch, next } => {
            let (broker, broker_epoch, next_producer_id) = (broker.0, broker_epoch.0, next.0);
            Kind::ProducerIdsAllocated(proto::ProducerIdsAllocated { broker, broker_epoch, next_producer_id })
        }
    };
    proto::Record { kind: Some(kind) }
}

fn from_proto(record: proto::Record) -> Result<Record, DecodeError> {
    Ok(match record.kind.ok_or(DecodeError::UnknownKind)? {
        Kind::ClusterFounded(founded) => Record::ClusterFounded { cluster_id: founded.cluster_id },
        Kind::Feature(feature) => Record::Feature { name: feature.name, level: level(feature.level)? },
        Kind::BrokerRegistered(broker) => Record::BrokerRegistered(Arc::new(broker_from_proto(broker)?)),
        Kind::BrokerChanged(change) => Record::BrokerChanged(BrokerChange {
            broker: BrokerId(change.broker),
            epoch: BrokerEpoch(change.epoch),
            fenced: change.fenced,
            cordoned: change.cordoned,
            in_controlled_shutdown: change.in_controlled_shutdown,
            directories: change.directories.map(|directories| directory_ids(&directories.ids)).transpose()?,
        }),
        Kind::BrokerUnregistered(gone) => {
            Record::BrokerUnregistered { broker: BrokerId(gone.broker), epoch: BrokerEpoch(gone.epoch) }
        }
        Kind::TopicCreated(topic) => {
            let name = TopicName::new(&topic.name).map_err(|_| DecodeError::Impossible { field: "topic name" })?;
            Record::TopicCreated { name, id: topic_id(&topic.id)? }
        }
        Kind::TopicDeleted(topic) => Record::TopicDeleted { id: topic_id(&topic.id)? },
        Kind::PartitionCreated(partition) => partition_from_proto(partition)?,
        Kind::PartitionChanged(change) => change_from_proto(change)?,
        Kind::ConfigChanged(config) => {
            let kind = i8::try_from(config.resource_type).ok().and_then(ResourceKind::from_id);
            let kind = kind.ok_or(DecodeError::Impossible { field: "resource type" })?;
            let resource = Resource { kind, name: config.resource_name };
            Record::ConfigChanged { resource, key: config.key, value: config.value }
        }
        Kind::QuotaChanged(quota) => return quotas::from_proto(quota),
        Kind::ProducerIdsAllocated(block) => Record::ProducerIdsAllocated {
            broker: BrokerId(block.broker),
            broker_epoch: BrokerEpoch(block.broker_epoch),
            next: ProducerId(block.next_producer_id),
        },
    })
}

fn broker_to_proto(broker: &Broker) -> proto::BrokerRegistered {
    proto::BrokerRegistered {
        broker: broker.id.0,
        epoch: broker.epoch.0,
        incarnation: bytes(broker.incarnation),
        endpoints: broker.endpoints.iter().map(endpoint_to_proto).collect(),
        rack: broker.rack.clone(),
        directories: directory_bytes(&broker.directories),
        features: broker.features.iter().map(|(name, range)| feature_to_proto(name, *range)).collect(),
        fenced: broker.fenced,
        cordoned: broker.cordoned,
        in_controlled_shutdown: broker.in_controlled_shutdown,
    }
}

fn endpoint_to_proto(endpoint: &Endpoint) -> proto::Endpoint {
    proto::Endpoint {
        listener: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: u32::from(endpoint.port),
        security_protocol: i32::from(endpoint.security_protocol.id()),
    }
}

fn feature_to_proto(name: &str, range: FeatureRange) -> proto::FeatureRange {
    let (min_level, max_level) = (i32::from(range.min), i32::from(range.max));
    proto::FeatureRange { name: name.to_owned(), min_level, max_level }
}

fn broker_from_proto(broker: proto::BrokerRegistered) -> Result<Broker, DecodeError> {
    let features = broker.features.into_iter().map(|range| {
        let levels = FeatureRange { min: level(range.min_level)?, max: level(range.max_level)? };
        Ok((range.name, levels))
    });
    Ok(Broker {
        id: BrokerId(broker.broker),
        epoch: BrokerEpoch(broker.epoch),
        incarnation: uuid(&broker.incarnation, "incarnation")?,
        endpoints: broker.endpoints.into_iter().map(endpoint_from_proto).collect::<Result<_, _>>()?,
        rack: broker.rack,
        directories: directory_ids(&broker.directories)?,
        features: features.collect::<Result<_, DecodeError>>()?,
        fenced: broker.fenced,
        cordoned: broker.cordoned,
        in_controlled_shutdown: broker.in_controlled_shutdown,
    })
}

fn endpoint_from_proto(endpoint: proto::Endpoint) -> Result<Endpoint, DecodeError> {
    let protocol = i16::try_from(endpoint.security_protocol).ok().and_then(SecurityProtocol::from_id);
    Ok(Endpoint {
        listener: endpoint.listener,
        host: endpoint.host,
        port: u16::try_from(endpoint.port).map_err(|_| DecodeError::Impossible { field: "port" })?,
        security_protocol: protocol.ok_or(DecodeError::Impossible { field: "security protocol" })?,
    })
}

fn partition_to_proto(topic: TopicId, partition: i32, state: &Partition) -> proto::PartitionCreated {
    proto::PartitionCreated {
        topic: bytes(topic.0),
        partition,
        replicas: replicas_to_proto(&state.replicas),
        isr: numbers(&state.isr),
        elr: numbers(&state.elr),
        last_known_elr: numbers(&state.last_known_elr),
        adding: numbers(&state.adding),
        removing: numbers(&state.removing),
        leader: state.leader.0,
        recovery: recovery_to_proto(state.recovery),
        leader_epoch: state.leader_epoch.0,
        partition_epoch: state.partition_epoch.0,
        unflushed: state.unflushed,
    }
}

fn partition_from_proto(created: proto::PartitionCreated) -> Result<Record, DecodeError> {
    let state = Partition {
        replicas: replicas_from_proto(&created.replicas)?,
        isr: brokers(created.isr),
        elr: brokers(created.elr),
        last_known_elr: brokers(created.last_known_elr),
        adding: brokers(created.adding),
        removing: brokers(created.removing),
        leader: BrokerId(created.leader),
        recovery: recovery_from_proto(created.recovery)?,
        leader_epoch: LeaderEpoch(created.leader_epoch),
        partition_epoch: PartitionEpoch(created.partition_epoch),
        unflushed: created.unflushed,
    };
    let topic = topic_id(&created.topic)?;
    Ok(Record::PartitionCreated { topic, partition: created.partition, state: Arc::new(state) })
}

fn change_to_proto(topic: TopicId, partition: i32, change: &PartitionChange) -> proto::PartitionChanged {
    let list = |brokers: &Option<Vec<BrokerId>>| brokers.as_ref().map(|ids| proto::Brokers { ids: numbers(ids) });
    let replicas = change.replicas.as_ref().map(|replicas| proto::Replicas { replicas: replicas_to_proto(replicas) });
    proto::PartitionChanged {
        topic: bytes(topic.0),
        partition,
        leader_epoch: change.leader_epoch.0,
        partition_epoch: change.partition_epoch.0,
        leader: change.leader.map(|leader| leader.0),
        recovery: change.recovery.map(recovery_to_proto),
        replicas,
        isr: list(&change.isr),
        elr: list(&change.elr),
        last_known_elr: list(&change.last_known_elr),
        adding: list(&change.adding),
        removing: list(&change.removing),
        unflushed: change.unflushed,
    }
}

fn change_from_proto(changed: proto::PartitionChanged) -> Result<Record, DecodeError> {
    let list = |list: Option<proto::Brokers>| list.map(|list| brokers(list.ids));
    let replicas = changed.replicas.map(|replicas| replicas_from_proto(&replicas.replicas)).transpose()?;
    let change = PartitionChange {
        leader_epoch: LeaderEpoch(changed.leader_epoch),
        partition_epoch: PartitionEpoch(changed.partition_epoch),
        leader: changed.leader.map(BrokerId),
        recovery: changed.recovery.map(recovery_from_proto).transpose()?,
        replicas,
        isr: list(changed.isr),
        elr: list(changed.elr),
        last_known_elr: list(changed.last_known_elr),
        adding: list(changed.adding),
        removing: list(changed.removing),
        unflushed: changed.unflushed,
    };
    Ok(Record::PartitionChanged { topic: topic_id(&changed.topic)?, partition: changed.partition, change })
}

fn replicas_to_proto(replicas: &[Replica]) -> Vec<proto::Replica> {
    let one = |replica: &Replica| proto::Replica { broker: replica.broker.0, directory: bytes(replica.directory.0) };
    replicas.iter().map(one).collect()
}

fn replicas_from_proto(replicas: &[proto::Replica]) -> Result<Vec<Replica>, DecodeError> {
    let one = |replica: &proto::Replica| {
        let directory = DirectoryId(uuid(&replica.directory, "directory id")?);
        Ok(Replica { broker: BrokerId(replica.broker), directory })
    };
    replicas.iter().map(one).collect()
}

fn recovery_to_proto(recovery: LeaderRecovery) -> i32 {
    match recovery {
        LeaderRecovery::Recovered => proto::LeaderRecovery::Recovered.into(),
        LeaderRecovery::Recovering => proto::LeaderRecovery::Recovering.into(),
    }
}

fn recovery_from_proto(recovery: i32) -> Result<LeaderRecovery, DecodeError> {
    match proto::LeaderRecovery::try_from(recovery) {
        Ok(proto::LeaderRecovery::Recovered) => Ok(LeaderRecovery::Recovered),
        Ok(proto::LeaderRecovery::Recovering) => Ok(LeaderRecovery::Recovering),
        Err(_) => Err(DecodeError::Impossible { field: "leader recovery state" }),
    }
}

fn numbers(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}

fn brokers(numbers: Vec<i32>) -> Vec<BrokerId> {
    numbers.into_iter().map(BrokerId).collect()
}

fn level(level: i32) -> Result<i16, DecodeError> {
    i16::try_from(level).map_err(|_| DecodeError::Impossible { field: "feature level" })
}

fn bytes(uuid: Uuid) -> Vec<u8> {
    uuid.as_bytes().to_vec()
}

fn uuid(bytes: &[u8], field: &'static str) -> Result<Uuid, DecodeError> {
    Uuid::from_slice(bytes).map_err(|_| DecodeError::Impossible { field })
}

fn topic_id(bytes: &[u8]) -> Result<TopicId, DecodeError> {
    uuid(bytes, "topic id").map(TopicId)
}

fn directory_bytes(ids: &[DirectoryId]) -> Vec<Vec<u8>> {
    ids.iter().map(|id| bytes(id.0)).collect()
}

fn directory_ids(ids: &[Vec<u8>]) -> Result<Vec<DirectoryId>, DecodeError> {
    ids.iter().map(|id| uuid(id, "directory id").map(DirectoryId)).collect()
}
