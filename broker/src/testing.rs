//! An in-process broker for tests: its metadata log is in memory, everything else is real.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{CreateTopics, FoundCluster, NewTopic, Settings};
use ottla_core::metadata::{Entry, Image};
use ottla_core::{BrokerId, LogIndex, TopicId};
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
use crate::replica::Manager;
use crate::telemetry::Metrics;

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
    _data: TempDir,
}

impl TestBroker {
    /// Starts one with Kafka's defaults.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with `properties` besides.
    pub(crate) async fn start_with(properties: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut values = BTreeMap::from([
            ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0".to_owned()),
            ("log.dirs".to_owned(), data.path().join("logs").display().to_string()),
        ]);
        values.extend(properties.iter().map(|(key, value)| (key.to_string(), value.to_string())));
        let config = Arc::new(Config::from_values(values).unwrap());
        let identity = Identity { cluster_id: "test".to_owned(), node_id: config.node_id };
        let replicas = Arc::new(Manager::open(Arc::clone(&config), &identity, Metrics::new()).unwrap());
        let log = Arc::new(MemoryLog::new());
        let incarnation = Uuid::new_v4();
        let given = Arc::clone(&replicas) as Arc<dyn Replicas>;
        let publisher = Publisher::new(config.node_id, incarnation, log.committed(), given);
        let clock = *replicas.clock();
        let settings = Settings::new(config.fixed.clone());
        let (driver, controller) =
            Driver::new(log, settings, publisher.published(), Peers::new(None), move || clock.now());
        tokio::spawn(publisher.run());
        tokio::spawn(driver.run());
        controller.submit(FoundCluster { cluster_id: "test".to_owned() }).await.unwrap();
        let broker = Arc::new(Broker::new(config, controller.clone(), replicas));
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

/// Waits for `condition`, failing after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never came true: {what}"));
}
