//! An image as the records that rebuild it: what a snapshot of the metadata log holds.

use std::sync::Arc;

use super::image::{ApplyError, Controller, Image};
use super::record::Record;
use crate::{BrokerEpoch, BrokerId, LogIndex, ProducerId};

impl Image {
    /// The records that make this image from an empty one, in an order in which they apply.
    pub fn to_records(&self) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.topics().len() + self.partition_count() + 16);
        if !self.cluster_id().is_empty() {
            records.push(Record::ClusterFounded { cluster_id: self.cluster_id().to_owned() });
        }
        let features = self.features().iter();
        records.extend(features.map(|(name, level)| Record::Feature { name: name.clone(), level: *level }));
        records.extend(self.brokers().values().map(|broker| Record::BrokerRegistered(Arc::clone(broker))));
        for topic in self.topics().iter() {
            records.push(Record::TopicCreated { name: topic.name.clone(), id: topic.id });
            records.extend(topic.indexed().map(|(partition, state)| Record::PartitionCreated {
                topic: topic.id,
                partition,
                state: Arc::clone(state),
            }));
        }
        for (resource, config) in self.configs() {
            records.extend(config.iter().map(|(key, value)| Record::ConfigChanged {
                resource: resource.clone(),
                key: key.clone(),
                value: Some(value.clone()),
            }));
        }
        for (entity, quotas) in self.quotas().iter() {
            records.extend(quotas.iter().map(|(key, limit)| Record::QuotaChanged {
                entity: entity.clone(),
                key: *key,
                limit: Some(*limit),
            }));
        }
        if self.next_producer_id() != ProducerId::default() {
            records.push(Record::ProducerIdsAllocated {
                broker: BrokerId::NONE,
                broker_epoch: BrokerEpoch::NONE,
                next: self.next_producer_id(),
            });
        }
        records
    }

    /// The image that `records` make, as of `index` and under `controller`.
    pub fn from_records<'a>(
        index: LogIndex,
        controller: Option<Controller>,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<Self, ApplyError> {
        let mut image = Self::default();
        for record in records {
            image.apply(record)?;
        }
        if let Some(controller) = controller {
            image.begin_reign(LogIndex(controller.epoch.0), controller.broker);
        }
        image.advance(index);
        Ok(image)
    }
}
