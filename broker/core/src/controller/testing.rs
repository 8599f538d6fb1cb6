//! A cluster for tests: every decision is applied, and every image that results is checked.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::metadata::{Entry, Partition, Topic};
use crate::{BrokerEpoch, BrokerId, DirectoryId, LogIndex, Timestamp, TopicId};

pub const NOW: Now = Now { monotonic: Duration::ZERO, wall: Timestamp(0) };

/// An image, the settings of its controller, and the next topic id.
pub struct Cluster {
    pub image: Image,
    pub settings: Settings,
    next_id: u128,
}

impl Cluster {
    /// A founded cluster without brokers.
    pub fn founded(properties: &[(&str, &str)]) -> Self {
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut image = Image::default();
        image.begin_reign(LogIndex(1), BrokerId(0));
        let mut cluster = Self { image, settings: Settings::new(properties.collect()), next_id: 1000 };
        cluster.run(FoundCluster { cluster_id: "cluster".to_owned() }).unwrap();
        cluster
    }

    /// Brokers `0..count`, serving.
    pub fn with_brokers(count: usize) -> Self {
        Self::with_racks(&vec![""; count])
    }

    /// One serving broker for each rack named; an empty name is no rack.
    pub fn with_racks(racks: &[&str]) -> Self {
        let mut cluster = Self::founded(&[]);
        for (id, rack) in (0..).zip(racks) {
            let rack = Some((*rack).to_owned()).filter(|rack| !rack.is_empty());
            cluster.run(RegisterBroker { rack, ..registration(id, 1) }).unwrap();
            cluster.unfence(id);
        }
        cluster
    }

    /// Decides, replays as the log would, and checks the image.
    pub fn run<O: Operation>(&mut self, operation: O) -> Result<O::Response, Error> {
        self.decide(operation).map(|(_, response)| response)
    }

    /// Like `run`, and returns the records too.
    pub fn decide<O: Operation>(&mut self, operation: O) -> Result<(Vec<Record>, O::Response), Error> {
        let command = operation.into_command();
        assert_eq!(Command::from_wire(&command.to_wire()).as_ref(), Ok(&command), "a command survives the wire");
        let decision = decide(&self.image, &self.settings, NOW, command);
        let result = decision.as_ref().map(|decision| decision.response.clone()).map_err(Clone::clone);
        assert_eq!(decode_result(&encode_result(&result)), Ok(result), "an answer survives the wire");
        let Decision { records, response } = decision?;
        let response = O::response(response).unwrap();
        let controller_epoch = self.image.controller().unwrap().epoch;
        let entry = Entry { controller_epoch, decided_on: self.image.index(), records };
        assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(&entry), "an entry survives the log");
        assert!(self.image.apply_entry(self.image.index().next(), &entry).unwrap());
        let violations = self.image.violations(self.settings.min_insync_replicas());
        assert!(violations.is_empty(), "{violations:#?} after {:#?}", entry.records);
        Ok((entry.records, response))
    }

    pub fn epoch(&self, id: i32) -> BrokerEpoch {
        self.image.broker(BrokerId(id)).unwrap().epoch
    }

    pub fn unfence(&mut self, id: i32) {
        let (epoch, applied) = (self.epoch(id), self.image.index());
        let heartbeat = BrokerHeartbeat { broker: BrokerId(id), epoch, applied, wish: Wish::Serve };
        assert!(!self.run(heartbeat).unwrap().fenced);
    }

    pub fn fence(&mut self, id: i32) {
        self.run(FenceBroker { broker: BrokerId(id), epoch: self.epoch(id) }).unwrap();
    }

    pub fn cordon(&mut self, id: i32) {
        self.run(CordonBroker { broker: BrokerId(id), cordoned: true }).unwrap();
    }

    pub fn next_topic_id(&mut self) -> TopicId {
        self.next_id += 1;
        TopicId(Uuid::from_u128(self.next_id))
    }

    /// A topic with these assignments and configurations.
    pub fn topic(&mut self, name: &str, assignments: &[&[i32]], configs: &[(&str, &str)]) {
        let id = self.next_topic_id();
        let assignments = (0..).zip(assignments).map(|(partition, brokers)| PartitionAssignment {
            partition,
            brokers: brokers.iter().copied().map(BrokerId).collect(),
        });
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
        let topic = NewTopic {
            assignments: assignments.collect(),
            configs: configs.collect(),
            ..NewTopic::with_defaults(name, id)
        };
        let results = self.run(CreateTopics { topics: vec![topic], validate_only: false }).unwrap();
        results[0].1.as_ref().unwrap();
    }

    pub fn get(&self, topic: &str) -> &Topic {
        self.image.topic(topic).unwrap()
    }

    pub fn partition(&self, topic: &str, index: i32) -> &Partition {
        self.get(topic).partition(index).unwrap()
    }

    /// Leader, ISR and ELR of a partition.
    pub fn roles(&self, topic: &str, index: i32) -> (i32, Vec<i32>, Vec<i32>) {
        let numbers = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
        let state = self.partition(topic, index);
        (state.leader.0, numbers(&state.isr), numbers(&state.elr))
    }

    /// The leader proposes an ISR.
    pub fn propose(&mut self, topic: &str, index: i32, isr: &[i32]) -> Result<Partition, PartitionFault> {
        let state = self.partition(topic, index).clone();
        let isr = isr.iter().map(|id| IsrMember { broker: BrokerId(*id), epoch: self.epoch(*id) });
        let proposal = IsrProposal {
            topic: self.get(topic).id,
            partition: index,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            isr: isr.collect(),
            recovery: crate::metadata::LeaderRecovery::Recovered,
            flushed: false,
        };
        let (broker, broker_epoch) = (state.leader, self.epoch(state.leader.0));
        self.run(AlterPartition { broker, broker_epoch, proposals: vec![proposal] }).unwrap().remove(0).result
    }
}

/// The directory that broker `id` has.
pub fn directory(id: i32) -> DirectoryId {
    DirectoryId(Uuid::from_u128(u128::try_from(id).unwrap() + 1))
}

/// A registration of broker `id` after an unclean stop that damaged nothing but may have lost the page cache.
pub fn registration(id: i32, incarnation: u128) -> RegisterBroker {
    RegisterBroker {
        broker: BrokerId(id),
        cluster_id: "cluster".to_owned(),
        incarnation: Uuid::from_u128(incarnation),
        endpoints: Vec::new(),
        rack: None,
        directories: vec![directory(id)],
        features: supported_features().map(|(name, range)| (name.to_owned(), range)).collect(),
        previous: PreviousStop::Unclean { page_cache_kept: false, damaged: Vec::new() },
    }
}
