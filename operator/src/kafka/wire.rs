//! [`ClusterAdmin`] over the Kafka protocol, and over gRPC for what Kafka lacks: any broker is asked, and hands on to the
//! controller what is the controller's. Calls about single topics share requests (`topics`).

mod log_dirs;
mod moves;
mod topics;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::FutureExt;
use ottla_protocol::{
    ErrorCode,
    client::{self, Client, ClientConfig, HostsFileThenDns},
    codec::{Request, Str},
    messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic},
};
use tokio::sync::OnceCell;

use self::topics::Topics;
use super::{grpc::Grpc, *};

/// How long one call may take, retries included. A pass that waits longer had better be tried again as a whole.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a broker may take over a change, as told to the broker.
const CHANGE_TIMEOUT_MS: i32 = 8_000;
/// A client that no pass asked for in this long is closed: its brokers have other addresses now, or are gone.
const IDLE: Duration = Duration::from_secs(300);

/// Makes clients by address, and shares them.
#[derive(Default)]
pub struct WireConnector {
    clients: Mutex<HashMap<Bootstrap, Shared>>,
    hosts_file: Option<PathBuf>,
}

impl WireConnector {
    /// Looks host names up in `file`, of the format of `/etc/hosts`, before DNS. Without it, in the file that the
    /// environment names to [`HostsFileThenDns`].
    pub fn with_hosts_file(file: impl Into<PathBuf>) -> Self {
        Self { hosts_file: Some(file.into()), ..Self::default() }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig {
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(9),
            deadline: DEADLINE,
            ..ClientConfig::new("ottla-operator")
        };
        if let Some(file) = &self.hosts_file {
            config.resolver = Arc::new(HostsFileThenDns::with_file(file));
        }
        config
    }
}

struct Shared {
    wire: Arc<Wire>,
    last_used: Instant,
}

impl Connector for WireConnector {
    fn connect(&self, bootstrap: &Bootstrap) -> Arc<dyn ClusterAdmin> {
        let now = Instant::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, shared| now.duration_since(shared.last_used) < IDLE);
        let make = || Shared { wire: Arc::new(Wire::new(bootstrap, self.config())), last_used: now };
        let shared = clients.entry(bootstrap.clone()).or_insert_with(make);
        shared.last_used = now;
        shared.wire.clone()
    }
}

/// The ways to one cluster.
struct Wire {
    link: Arc<Link>,
    topics: Topics,
    control: Option<Grpc>,
}

impl Wire {
    fn new(bootstrap: &Bootstrap, config: ClientConfig) -> Self {
        let control = bootstrap.control.as_ref().map(Grpc::new);
        let link = Arc::new(Link { addresses: bootstrap.brokers.clone(), config, client: OnceCell::new() });
        Self { topics: Topics::new(&link), link, control }
    }

    fn control(&self) -> Result<&Grpc> {
        self.control.as_ref().ok_or_else(|| Error::Unreachable("no CONTROLLER listener is known".to_owned()))
    }

    async fn ask<R: Request>(&self, request: &R) -> Result<R::Response> {
        self.link.ask(request).await
    }
}

/// A client that connects when it is first asked.
struct Link {
    addresses: Vec<String>,
    config: ClientConfig,
    client: OnceCell<Client>,
}

impl Link {
    async fn ask<R: Request>(&self, request: &R) -> Result<R::Response> {
        let connect = || Client::connect(self.addresses.clone(), self.config.clone());
        let client = self.client.get_or_try_init(connect).await.map_err(unreachable)?;
        client.send_any(request).await.map_err(unreachable)
    }

    async fn metadata(&self, topics: Option<&[String]>) -> Result<MetadataResponse> {
        let named =
            |name: &String| MetadataRequestTopic { name: Some(Str::from(name)), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: topics.map(|names| names.iter().map(named).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.ask(&request).await?;
        check(response.error_code, None)?;
        Ok(response)
    }
}

/// No answer came. Only a broker that lacks an API will lack it the next time too.
fn unreachable(error: client::Error) -> Error {
    match error {
        client::Error::UnsupportedApi { .. } => {
            Error::Refused { code: "UNSUPPORTED_VERSION".to_owned(), message: Some(error.to_string()) }
        }
        other => Error::Unreachable(other.to_string()),
    }
}

/// What an error code in an answer means for the pass.
fn check(code: ErrorCode, message: Option<&Str>) -> Result<()> {
    let Err(code) = code.ok() else {
        return Ok(());
    };
    let name = code.name().map_or_else(|| format!("error code {}", code.0), str::to_owned);
    let message = message.map(|text| text.as_str().to_owned()).filter(|text| !text.is_empty());
    if code.is_retriable() {
        let message = message.map(|text| format!(": {text}")).unwrap_or_default();
        return Err(Error::Unreachable(format!("{name}{message}")));
    }
    Err(Error::Refused { code: name, message })
}

fn topic_view(topic: MetadataResponseTopic) -> TopicView {
    let ids = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect();
    let mut partitions = topic.partitions;
    partitions.sort_by_key(|partition| partition.partition_index);
    let partitions = partitions.into_iter().map(|partition| PartitionView {
        leader: (partition.leader_id >= 0).then_some(BrokerId(partition.leader_id)),
        replicas: ids(partition.replica_nodes),
        in_sync: ids(partition.isr_nodes),
        adding: Vec::new(),
        removing: Vec::new(),
    });
    TopicView {
        name: topic.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        id: TopicId(topic.topic_id),
        partitions: partitions.collect(),
    }
}

impl ClusterAdmin for Wire {
    fn leaderless(&self) -> BoxFuture<'_, Result<u32>> {
        async {
            let response = self.link.metadata(None).await?;
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            let leaderless = partitions.filter(|partition| partition.leader_id < 0).count();
            Ok(u32::try_from(leaderless).unwrap_or(u32::MAX))
        }
        .boxed()
    }

    fn topic<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<TopicView>>> {
        self.topics.views.call(name.to_owned()).boxed()
    }

    fn own_config<'a>(&'a self, of: &'a ConfigOf) -> BoxFuture<'a, Result<OwnConfig>> {
        self.topics.configs.call(of.clone()).boxed()
    }

    fn create_topic<'a>(&'a self, topic: &'a NewTopic) -> BoxFuture<'a, Result<()>> {
        self.topics.creations.call(topic.clone()).boxed()
    }

    fn grow_topic<'a>(&'a self, name: &'a str, total: i32) -> BoxFuture<'a, Result<()>> {
        self.topics.growths.call((name.to_owned(), total)).boxed()
    }

    fn change_config<'a>(&'a self, of: &'a ConfigOf, changes: &'a [ConfigChange]) -> BoxFuture<'a, Result<()>> {
        self.topics.changes.call((of.clone(), changes.to_vec())).boxed()
    }

    fn delete_topic<'a>(&'a self, id: TopicId, _name: &'a str) -> BoxFuture<'a, Result<()>> {
        self.topics.deletions.call(id).boxed()
    }

    fn brokers(&self) -> BoxFuture<'_, Result<Vec<BrokerView>>> {
        async { self.control()?.brokers().await }.boxed()
    }

    fn partition_health(&self) -> BoxFuture<'_, Result<PartitionHealth>> {
        async { self.control()?.partition_health().await }.boxed()
    }

    fn check_restart(&self, broker: BrokerId) -> BoxFuture<'_, Result<RestartVerdict>> {
        async move { self.control()?.check_restart(broker).await }.boxed()
    }

    fn cordon(&self, broker: BrokerId, cordoned: bool) -> BoxFuture<'_, Result<()>> {
        async move { self.control()?.cordon(broker, cordoned).await }.boxed()
    }

    fn advertise<'a>(&'a self, broker: BrokerId, listeners: &'a str) -> BoxFuture<'a, Result<()>> {
        async move { self.control()?.advertise(broker, listeners).await }.boxed()
    }

    fn placements(&self) -> BoxFuture<'_, Result<Vec<TopicPlacement>>> {
        async { self.control()?.placements().await }.boxed()
    }

    fn reassign<'a>(&'a self, wanted: &'a [Reassignment]) -> BoxFuture<'a, Result<Vec<NotReassigned>>> {
        self.alter_reassignments(wanted).boxed()
    }

    fn elect_preferred<'a>(&'a self, partitions: &'a [(String, i32)]) -> BoxFuture<'a, Result<()>> {
        self.elect(partitions).boxed()
    }

    fn log_dirs<'a>(&'a self, broker: &'a BrokerAt) -> BoxFuture<'a, Result<Vec<LogDir>>> {
        self.describe_log_dirs(broker).boxed()
    }

    fn alter_log_dirs<'a>(&'a self, broker: &'a BrokerAt, moves: &'a [LogDirMove]) -> BoxFuture<'a, Result<()>> {
        self.move_between_log_dirs(broker, moves).boxed()
    }

    fn unregister(&self, broker: BrokerId) -> BoxFuture<'_, Result<()>> {
        self.forget_broker(broker).boxed()
    }

    fn quorum(&self) -> BoxFuture<'_, Result<QuorumView>> {
        async { self.control()?.quorum().await }.boxed()
    }

    fn add_voter(&self, broker: BrokerId) -> BoxFuture<'_, Result<()>> {
        async move { self.control()?.add_voter(broker).await }.boxed()
    }

    fn remove_voter<'a>(&'a self, broker: BrokerId, directory: &'a str) -> BoxFuture<'a, Result<()>> {
        async move { self.control()?.remove_voter(broker, directory).await }.boxed()
    }

    fn retire_disk<'a>(&'a self, broker: BrokerId, directory: &'a str) -> BoxFuture<'a, Result<()>> {
        async move { self.control()?.retire_disk(broker, directory).await }.boxed()
    }
}
