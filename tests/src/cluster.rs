//! A cluster of real brokers in this process: each on a loopback address, disks and a runtime of its own, so that one of
//! them can be killed as signal 9 would.
//!
//! Must not sleep where it can wait for a condition; every wait has a deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_broker::config::Config;
use ottla_broker::controller::{MetadataLog, Role};
use ottla_broker::node::{self, Node};
use ottla_core::metadata::Image;
use ottla_protocol::client::{Client, ClientConfig};
use rand::Rng;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// How long anything may take before it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(30);

const KAFKA_PORT: u16 = 29092;
const CONTROLLER_PORT: u16 = 29093;

/// Brokers `0..n`, each running or not. Must be used on a multi-threaded runtime.
pub struct Cluster {
    brokers: Vec<Place>,
}

/// What a broker has besides its process.
struct Place {
    config: Arc<Config>,
    host: String,
    data: TempDir,
    run: Option<Run>,
}

/// A broker's process.
struct Run {
    runtime: Runtime,
    node: Node,
}

type Starting = (Runtime, oneshot::Receiver<Result<Node, node::Error>>);

impl Cluster {
    /// Founds a cluster of `count` brokers, all of them voters; returns once all serve.
    pub async fn start(count: usize) -> Self {
        Self::start_with(count, &[]).await
    }

    /// Like [`Self::start`], with `properties` besides.
    pub async fn start_with(count: usize, properties: &[(&str, &str)]) -> Self {
        let mut random = rand::rng();
        let mut byte = || random.random_range(2..250_u8);
        let hosts: Vec<_> = (0..count).map(|_| format!("127.{}.{}.{}", byte(), byte(), byte())).collect();
        let voters = hosts.iter().enumerate().map(|(id, host)| format!("{id}@{host}:{CONTROLLER_PORT}"));
        let voters = voters.collect::<Vec<_>>().join(",");
        let place = |(id, host): (usize, &String)| Place::new(id, host, &voters, properties);
        let mut cluster = Self { brokers: hosts.iter().enumerate().map(place).collect() };
        cluster.start_all().await;
        cluster
    }

    /// Starts every broker that does not run, all at once.
    pub async fn start_all(&mut self) {
        let stopped = self.brokers.iter_mut().filter(|place| place.run.is_none());
        let starting: Vec<_> = stopped.map(|place| (place.begin(), place)).collect();
        for (starting, place) in starting {
            place.finish(starting).await.unwrap_or_else(|error| panic!("a broker does not start: {error}"));
        }
    }

    /// Starts broker `id` again, on its disk.
    pub async fn start_broker(&mut self, id: usize) -> Result<(), node::Error> {
        let starting = self.brokers[id].begin();
        self.brokers[id].finish(starting).await
    }

    /// Stops broker `id` in order.
    pub async fn stop(&mut self, id: usize) {
        let Run { runtime, node } = self.brokers[id].run.take().expect("it runs");
        within("a broker stops", node.stop())
            .await
            .unwrap_or_else(|error| panic!("broker {id} does not stop cleanly: {error}"));
        end(runtime);
    }

    /// Kills broker `id`: its connections break, nothing is flushed, nothing is said to anybody. What it had written is
    /// in the page cache, as after a signal 9.
    pub fn kill(&mut self, id: usize) {
        if let Some(Run { runtime, node }) = self.brokers[id].run.take() {
            // The tasks go first: nothing of the node may do anything when it is dropped.
            end(runtime);
            drop(node);
        }
    }

    /// Kills every broker.
    pub fn kill_all(&mut self) {
        (0..self.brokers.len()).for_each(|id| self.kill(id));
    }

    /// Empties the disk of broker `id`, which must not run.
    pub fn empty(&mut self, id: usize) {
        let place = &mut self.brokers[id];
        assert!(place.run.is_none(), "broker {id} runs");
        for entry in std::fs::read_dir(place.data.path()).expect("the folder is there") {
            std::fs::remove_dir_all(entry.expect("it can be listed").path()).expect("it can be removed");
        }
    }

    /// Gives broker `id` another value of the property `key`, from its next start on.
    pub fn configure(&mut self, id: usize, key: &str, value: &str) {
        let place = &mut self.brokers[id];
        let mut values = place.config.fixed.clone();
        values.insert(key.to_owned(), value.to_owned());
        place.config = Arc::new(Config::from_values(values).unwrap_or_else(|error| panic!("{error}")));
    }

    /// How many brokers there are, running or not.
    pub fn size(&self) -> usize {
        self.brokers.len()
    }

    /// Broker `id`, if it runs.
    pub fn node(&self, id: usize) -> Option<&Node> {
        self.brokers[id].run.as_ref().map(|run| &run.node)
    }

    /// The brokers that run.
    pub fn running(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.brokers.iter().enumerate().filter_map(|(id, place)| Some((id, &place.run.as_ref()?.node)))
    }

    /// Where broker `id` serves clients.
    pub fn address(&self, id: usize) -> String {
        format!("{}:{KAFKA_PORT}", self.brokers[id].host)
    }

    /// Where broker `id` keeps its logs.
    pub fn data(&self, id: usize) -> &std::path::Path {
        self.brokers[id].data.path()
    }

    /// Every broker's address, for clients.
    pub fn bootstrap(&self) -> Vec<String> {
        (0..self.size()).map(|id| self.address(id)).collect()
    }

    /// A client that knows every broker.
    pub async fn client(&self) -> Client {
        within("a client connects", Client::connect(self.bootstrap(), ClientConfig::new("test")))
            .await
            .expect("a broker answers")
    }

    /// The image that broker `id` has made its own.
    pub fn image(&self, id: usize) -> Arc<Image> {
        self.node(id).unwrap_or_else(|| panic!("broker {id} does not run")).broker().image()
    }

    /// The broker where the controller is, once there is one.
    pub async fn controller(&self) -> usize {
        let leads = |node: &Node| *node.metadata().log().role().borrow() == Role::Leader;
        let mut found = None;
        self.until("there is a controller", || {
            found = self.running().filter(|(_, node)| leads(node)).map(|(id, _)| id).last();
            found.is_some()
        })
        .await;
        found.expect("it was found")
    }

    /// Waits until every running broker has the same image.
    pub async fn settled(&self) {
        self.until("every broker has the same image", || {
            let mut images = self.running().map(|(_, node)| node.broker().image());
            let first = images.next();
            images.all(|image| Some(image) == first)
        })
        .await;
    }

    /// Waits for `condition`, which `what` describes.
    pub async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < DEADLINE, "never came true: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for place in &mut self.brokers {
            if let Some(run) = place.run.take() {
                run.runtime.shutdown_background();
            }
        }
    }
}

/// What `future` comes to, before the deadline.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("never came true: {what}"))
}

/// Ends every task and waits for the threads, so that addresses and locks are free again.
fn end(runtime: Runtime) {
    tokio::task::block_in_place(|| runtime.shutdown_timeout(Duration::from_secs(5)));
}

impl Place {
    fn new(id: usize, host: &str, voters: &str, properties: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let listeners = format!("PLAINTEXT://{host}:{KAFKA_PORT},CONTROLLER://{host}:{CONTROLLER_PORT}");
        let own = [
            ("node.id", id.to_string()),
            ("listeners", listeners),
            ("controller.quorum.voters", voters.to_owned()),
            ("log.dirs", data.path().join("logs").display().to_string()),
            ("ottla.http.listener", String::new()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ];
        let mut values: BTreeMap<String, String> =
            own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        values.extend(properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let config = Config::from_values(values).unwrap_or_else(|error| panic!("{error}"));
        Self { config: Arc::new(config), host: host.to_owned(), data, run: None }
    }

    fn begin(&self) -> Starting {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let (sender, started) = oneshot::channel();
        let config = Arc::clone(&self.config);
        // Whoever waits may have given up; then nobody needs the node.
        runtime.spawn(async move { drop(sender.send(Node::start(config).await)) });
        (runtime, started)
    }

    async fn finish(&mut self, (runtime, started): Starting) -> Result<(), node::Error> {
        match within("a broker starts", started).await.expect("the start does not panic") {
            Ok(node) => {
                self.run = Some(Run { runtime, node });
                Ok(())
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }
}
