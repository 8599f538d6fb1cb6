//! An in-process broker for tests: its metadata log is in memory, everything else is real.

mod collector;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{CreateTopics, FenceBroker, FoundCluster, NewTopic, PartitionAssignment, Settings};
use ottla_core::metadata::{self, Entry, Image};
use ottla_core::{BrokerEpoch, BrokerId, LogIndex, TopicId};
use ottla_protocol::client::{Client, ClientConfig};
use ottla_storage::Identity;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use crate::broker::{Broker, Running};
use crate::config::Config;
use crate::controller::{
    ControllerHandle, Driver, MetadataLog, Outcome, Peers, ProposeError, Publisher, Replicas, Role,
};
use crate::quota::{self, Quotas};
use crate::replica::{Manager, Partition};
use crate::telemetry::Metrics;

pub(crate) use collector::collector;

/// A log of one voter that commits at once and forgets at the end.
struct MemoryLog {
    committed: watch::Sender<Arc<Image>>,
    role: watch::Sender<Role>,
    write: Mutex<()>,
}

impl MemoryLog {
    fn new() -> Self {
        let mut image = Image::default();
        image.begin_reign(LogIndex(1), BrokerId(0));
        let (committed, role) = (watch::Sender::new(Arc::new(image)), watch::Sender::new(Role::Leader));
        Self { committed, role, write: Mutex::default() }
    }
}

impl MetadataLog for MemoryLog {
    async fn propose(&self, entry: Entry) -> Result<Outcome, ProposeError> {
        let _one_at_a_time = self.write.lock();
        let mut image = Image::clone(&self.committed.borrow());
        let index = LogIndex(image.index().0 + 1);
        let applied = image.apply_entry(index, &entry).expect("decisions fit the image");
        self.committed.send_replace(Arc::new(image));
        Ok(if applied { Outcome::Applied(index) } else { Outcome::Skipped })
    }

    fn role(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    fn address_of(&self, _: BrokerId) -> Option<String> {
        None
    }

    fn committed(&self) -> watch::Receiver<Arc<Image>> {
        self.committed.subscribe()
    }
}

/// A broker on a free port.
pub(crate) struct TestBroker {
    pub(crate) running: Running,
    pub(crate) controller: ControllerHandle,
    _data: Arc<TempDir>,
}

impl TestBroker {
    /// Starts one with Kafka's defaults.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with `properties` besides.
    pub(crate) async fn start_with(properties: &[(&str, &str)]) -> Self {
        let log = Arc::new(MemoryLog::new());
        Self::start_on(log, Arc::new(tempfile::tempdir().unwrap()), properties).await
    }

    /// Starts one on a log that others may share, with what is in `data`.
    async fn start_on(log: Arc<MemoryLog>, data: Arc<TempDir>, properties: &[(&str, &str)]) -> Self {
        let mut values = BTreeMap::from([
            ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0".to_owned()),
            ("log.dirs".to_owned(), data.path().join("logs").display().to_string()),
        ]);
        values.extend(properties.iter().map(|(key, value)| (key.to_string(), value.to_string())));
        let config = Arc::new(Config::from_values(values).unwrap());
        let identity = Identity { cluster_id: "test".to_owned(), node_id: config.node_id };
        let replicas = Arc::new(Manager::open(Arc::clone(&config), &identity, Metrics::new()).unwrap());
        let incarnation = Uuid::new_v4();
        let given = Arc::clone(&replicas) as Arc<dyn Replicas>;
        let clock = *replicas.clock();
        let quotas = Arc::new(Quotas::new(quota::windows(&config), clock));
        let publisher = Publisher::new(config.node_id, incarnation, log.committed(), given, Arc::clone(&quotas));
        let settings = Settings::new(config.fixed.clone());
        let (driver, controller) =
            Driver::new(log, settings, publisher.published(), Peers::new(None), move || clock.now());
        tokio::spawn(publisher.run());
        tokio::spawn(driver.run());
        controller.submit(FoundCluster { cluster_id: "test".to_owned() }).await.unwrap();
        // Another broker may have founded it, and this one not have seen it yet.
        controller.watch().wait_for(|image| !image.cluster_id().is_empty()).await.unwrap();
        let broker = Arc::new(Broker::new(config, controller.clone(), replicas, quotas));
        let running = Running::start(broker, incarnation).await.unwrap();
        Self { running, controller, _data: data }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addresses[0].1
    }

    /// A client of it.
    pub(crate) async fn client(&self) -> Client {
        Client::connect([self.address().to_string()], ClientConfig::new("test")).await.unwrap()
    }

    /// Makes a topic of `partitions` with `configs`; usable when this returns.
    pub(crate) async fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let mut topic = NewTopic::with_defaults(name, TopicId(Uuid::new_v4()));
        topic.partitions = partitions;
        topic.configs = configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect();
        let created = self.controller.submit(CreateTopics { topics: vec![topic], validate_only: false }).await.unwrap();
        for (name, result) in created {
            result.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

/// Brokers that share a metadata log, with ids from 1 on. Every one of them decides on it, so that any may stop.
pub(crate) struct TestCluster {
    log: Arc<MemoryLog>,
    properties: Vec<(String, String)>,
    brokers: BTreeMap<i32, TestBroker>,
    data: BTreeMap<i32, Arc<TempDir>>,
    halted: BTreeMap<i32, BrokerEpoch>,
}

impl TestCluster {
    /// Starts `count` brokers with `properties`.
    pub(crate) async fn start(count: i32, properties: &[(&str, &str)]) -> Self {
        let properties = properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let log = Arc::new(MemoryLog::new());
        let mut cluster =
            Self { log, properties, brokers: BTreeMap::new(), data: BTreeMap::new(), halted: BTreeMap::new() };
        for id in 1..=count {
            cluster.start_broker(id, &[]).await;
        }
        cluster
    }

    /// Starts broker `id` on what its last uptime left, with `properties` besides.
    pub(crate) async fn start_broker(&mut self, id: i32, properties: &[(&str, &str)]) {
        let data = self.data.entry(id).or_insert_with(|| Arc::new(tempfile::tempdir().unwrap()));
        let id_text = id.to_string();
        let mut all = vec![("node.id", id_text.as_str())];
        all.extend(self.properties.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        all.extend(properties);
        let broker = TestBroker::start_on(Arc::clone(&self.log), Arc::clone(data), &all).await;
        self.brokers.insert(id, broker);
    }

    /// Stops broker `id` and has it fenced.
    pub(crate) async fn stop_broker(&mut self, id: i32) {
        let broker = self.brokers.remove(&id).unwrap();
        let epoch = *broker.running.broker.epoch.get().unwrap();
        broker.running.leave().await.unwrap();
        broker.controller.submit(FenceBroker { broker: BrokerId(id), epoch }).await.unwrap();
    }

    /// Stops broker `id` without anybody being told.
    pub(crate) async fn halt_broker(&mut self, id: i32) {
        let broker = self.brokers.remove(&id).unwrap();
        self.halted.insert(id, *broker.running.broker.epoch.get().unwrap());
        broker.running.leave().await.unwrap();
    }

    /// Has the broker `id` that was halted fenced.
    pub(crate) async fn fence_halted(&mut self, id: i32) {
        let epoch = self.halted.remove(&id).unwrap();
        let controller = &self.brokers.values().next().unwrap().controller;
        controller.submit(FenceBroker { broker: BrokerId(id), epoch }).await.unwrap();
    }

    /// Broker `id`.
    pub(crate) fn broker(&self, id: i32) -> &TestBroker {
        &self.brokers[&id]
    }

    /// Has broker `id` fenced though it goes on.
    pub(crate) async fn fence(&self, id: i32) {
        let broker = self.broker(id);
        let epoch = *broker.running.broker.epoch.get().unwrap();
        broker.controller.submit(FenceBroker { broker: BrokerId(id), epoch }).await.unwrap();
    }

    /// Makes a topic of one partition whose replicas are `replicas`, the first of which leads.
    pub(crate) async fn create_topic(&self, name: &str, replicas: &[i32], configs: &[(&str, &str)]) {
        let mut topic = NewTopic::with_defaults(name, TopicId(Uuid::new_v4()));
        topic.assignments =
            vec![PartitionAssignment { partition: 0, brokers: replicas.iter().copied().map(BrokerId).collect() }];
        topic.configs = configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect();
        let controller = &self.brokers.values().next().unwrap().controller;
        let created = controller.submit(CreateTopics { topics: vec![topic], validate_only: false }).await.unwrap();
        for (name, result) in created {
            result.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for id in replicas {
            eventually("every replica is there", || self.try_replica(*id, name).is_some()).await;
        }
    }

    fn try_replica(&self, id: i32, topic: &str) -> Option<Arc<Partition>> {
        self.broker(id).running.broker.replicas.topics().partition(topic, 0).ok()
    }

    /// Where the replica of partition 0 of `topic` on broker `id` ends, if there is one.
    pub(crate) fn try_end(&self, id: i32, topic: &str) -> Option<i64> {
        self.try_replica(id, topic).map(|replica| replica.reader().log_end().0)
    }

    /// The replica of partition 0 of `topic` on broker `id`.
    pub(crate) fn replica(&self, id: i32, topic: &str) -> Arc<Partition> {
        self.try_replica(id, topic).unwrap()
    }

    /// Partition 0 of `topic` as the controller has it.
    pub(crate) fn state(&self, topic: &str) -> Arc<metadata::Partition> {
        let image = Arc::clone(&self.log.committed.borrow());
        Arc::clone(image.topic(topic).unwrap().partition(0).unwrap())
    }

    /// The bytes of the first segment of partition 0 of `topic` on broker `id`.
    pub(crate) fn segment(&self, id: i32, topic: &str) -> Vec<u8> {
        let replica = self.replica(id, topic);
        let end = replica.reader().log_end();
        let slice = replica.reader().read(replica.reader().log_start(), usize::MAX, end, true).unwrap();
        slice.map_or_else(Vec::new, |slice| slice.read().unwrap())
    }

    /// A client that begins at broker `id`.
    pub(crate) async fn client(&self, id: i32) -> Client {
        self.broker(id).client().await
    }
}

/// Waits for `condition`, failing after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, async || condition().then_some(())).await;
}

/// What `ask` gives once it gives something, failing after ten seconds.
pub(crate) async fn eventually_some<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    asked.await.unwrap_or_else(|_| panic!("never came true: {what}"))
}
