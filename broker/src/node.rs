//! A whole broker: everything a process runs but its arguments, logging and signals.
//!
//! Starts the parts in order and stops them in reverse. Several nodes can live in one process, as those of the tests do.

pub(crate) mod gauges;
mod predecessor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::Settings;
use ottla_storage::{Identity, MetaProperties};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use uuid::Uuid;

use crate::admin::Admin;
use crate::broker::{self, Broker, Running};
use crate::config::{Config, host_name};
use crate::controller::quorum::{self, Door, Newcomer};
use crate::controller::{self, ControllerListener, ListenError, Peers, Service, Services, SubmitError, Token};
use crate::quota::{self, Quotas};
use crate::replica::Manager;
use crate::telemetry::{self, Exposition, Health, Metrics, State};

/// The folder of the metadata log, in the first log directory.
const METADATA: &str = "__cluster_metadata";

/// How long the CONTROLLER and HTTP listeners are waited for.
const LISTENERS_END: Duration = Duration::from_secs(1);

/// Why a node does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A log directory.
    #[error(transparent)]
    Storage(#[from] ottla_storage::Error),
    /// The metadata.
    #[error(transparent)]
    Metadata(#[from] controller::StartError),
    /// A Kafka listener, or the registration.
    #[error(transparent)]
    Start(#[from] broker::StartError),
    /// The CONTROLLER listener.
    #[error(transparent)]
    Controller(#[from] ListenError),
    /// The HTTP listener.
    #[error("cannot listen on {address} (ottla.http.listener): {source}")]
    Http {
        /// As configured.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The metadata log failed while the broker ran.
    #[error("the metadata log has stopped: {0}")]
    MetadataStopped(String),
    /// No log directory is left to work with.
    #[error("every log directory has failed")]
    AllDirectoriesFailed,
    /// Another process has this broker's id.
    #[error("another process has registered with this broker's node.id")]
    Superseded,
    /// The cluster was told to forget this broker while it was at work: stopped and started it registers anew.
    #[error("the cluster has forgotten this broker")]
    Forgotten,
    /// A thread could not be started, or has panicked.
    #[error("cannot set up the process: {0}")]
    Process(#[from] std::io::Error),
}

impl Error {
    /// What the process ends with: 2 bad configuration, 3 refused identity, 4 storage failure, 70 bug.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Http { .. } | Self::Controller(_) | Self::Start(broker::StartError::Listen { .. }) => 2,
            // Whoever works there is this broker, and its disk is well.
            Self::Storage(ottla_storage::Error::Identity(_) | ottla_storage::Error::Locked { .. })
            | Self::Superseded => 3,
            Self::Metadata(error) if error.is_identity() => 3,
            Self::Storage(_) | Self::Metadata(_) | Self::MetadataStopped(_) | Self::AllDirectoriesFailed => 4,
            Self::Start(broker::StartError::Register(SubmitError::Stopped)) => 4,
            Self::Start(broker::StartError::Register(SubmitError::Refused(_))) => 3,
            Self::Start(_) | Self::Process(_) | Self::Forgotten => 70,
        }
    }
}

/// A running broker with all it needs.
///
/// Dropping it does not stop it. To kill it as a signal 9 would, end the runtime that it was started on.
pub struct Node {
    running: Running,
    metadata: Service,
    health: Arc<Health>,
    services: Services,
    peers: Peers,
    controller_address: Option<SocketAddr>,
    http_address: Option<SocketAddr>,
    /// Ends the CONTROLLER and HTTP listeners.
    shutdown: CancellationToken,
    listeners: TaskTracker,
}

impl Node {
    /// Starts a broker; returns once it serves.
    pub async fn start(config: Arc<Config>) -> Result<Self, Error> {
        let (health, shutdown) = (Arc::new(Health::new()), CancellationToken::new());
        // Whatever has been started ends if the start fails, or is given up.
        let guard = shutdown.clone().drop_guard();
        let metrics = Metrics::new();
        // It still has the addresses too.
        predecessor::has_left(&config.log_dirs).await;
        let http = bind_http(&config).await?;
        let http_address = http.as_ref().map(|(_, address)| *address);
        let token = read_token(&config)?;
        let peers = Peers::new(token.as_ref());
        let listeners = TaskTracker::new();
        let (services, controller_address) = listen(&config, token, &shutdown, &listeners).await?;

        put_retired_aside(&config).await?;
        let door = Door::new(config.node_id, config.quorum.founders());
        services.add(door.service());
        let entrance = quorum::find(&newcomer(&config)?, &peers, &door).await.map_err(controller::StartError::from)?;
        let identity = Identity { cluster_id: entrance.cluster_id.clone(), node_id: config.node_id };
        let (opening, counting) = (Arc::clone(&config), metrics.clone());
        let replicas = tokio::task::spawn_blocking(move || Manager::open(opening, &identity, counting)).await;
        let replicas = Arc::new(replicas.map_err(std::io::Error::other)??);
        let incarnation = Uuid::new_v4();
        let clock = *replicas.clock();
        let quotas = Arc::new(Quotas::new(quota::windows(&config), clock));
        let log = log_options(&config, &replicas, controller_address);
        let settings = Settings::new(config.fixed.clone());
        let options = controller::Options {
            log,
            incarnation,
            settings,
            entrance,
            peers: peers.clone(),
            door,
            services: services.clone(),
            quotas: Arc::clone(&quotas),
        };
        let given = Arc::clone(&replicas) as Arc<dyn controller::Replicas>;
        let metadata = Service::start(options, given, move || clock.now()).await?;
        let broker = Arc::new(Broker::new(Arc::clone(&config), metadata.handle(), replicas, quotas));
        // It is set here alone, once.
        let _ = broker.quorum.set(Arc::clone(metadata.log()));
        let running = Running::start(broker, incarnation).await?;
        Admin::new(Arc::clone(&running.broker), Arc::clone(metadata.log()), peers.clone()).serve(&services);
        health.set(State::Ready);
        tokio::spawn(follow(Arc::clone(&health), Arc::clone(&running.broker), shutdown.clone()));
        if let Some((listener, address)) = http {
            info!(%address, "serving metrics and probes");
            let exposition = Exposition::new(&metrics, gauges::of(&running));
            listeners.spawn(telemetry::serve(listener, Arc::clone(&health), exposition, shutdown.clone()));
        }
        guard.disarm();
        Ok(Self { running, metadata, health, services, peers, controller_address, http_address, shutdown, listeners })
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.running.broker
    }

    /// The metadata: log and controller.
    pub fn metadata(&self) -> &Service {
        &self.metadata
    }

    /// The Kafka listeners: the name of each and the address it got.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.running.addresses
    }

    /// The address that the CONTROLLER listener got, if there is one.
    pub fn controller_address(&self) -> Option<SocketAddr> {
        self.controller_address
    }

    /// The address that the HTTP listener got, if there is one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// The services of the CONTROLLER listener.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The other nodes' CONTROLLER listeners.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Resolves when the node cannot go on and must be stopped, with the reason.
    pub async fn failed(&self) -> Error {
        let log = self.metadata.log();
        tokio::select! {
            // Without metadata the broker would go on with what it knew for ever.
            reason = log.stopped() => Error::MetadataStopped(reason.unwrap_or_default()),
            refusal = log.sent_away() => controller::StartError::from(refusal).into(),
            () = self.running.superseded() => Error::Superseded,
            () = self.running.forgotten() => Error::Forgotten,
            () = self.broker().replicas.all_directories_failed() => Error::AllDirectoriesFailed,
        }
    }

    /// Stops in order; what was acked is on disk, and marked so, and the addresses are free, when it returns.
    pub async fn stop(self) -> Result<(), Error> {
        self.health.set(State::Stopping);
        self.running.hand_over().await;
        // Whoever leads then fences this broker when it has left.
        self.metadata.log().hand_over().await;
        let stopped = self.running.leave().await;
        self.metadata.shutdown().await;
        self.shutdown.cancel();
        self.listeners.close();
        // What keeps one longer is a connection to the metrics, not its address.
        drop(tokio::time::timeout(LISTENERS_END, self.listeners.wait()).await);
        Ok(stopped?)
    }
}

/// Keeps the probes told whether the controller has fenced this broker.
async fn follow(health: Arc<Health>, broker: Arc<Broker>, shutdown: CancellationToken) {
    let mut images = broker.controller.watch();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = images.changed() => if changed.is_err() { return },
        }
        let fenced = images.borrow_and_update().broker(broker.id()).is_none_or(|me| me.fenced);
        health.set(if fenced { State::Fenced("by the controller".to_owned()) } else { State::Ready });
    }
}

async fn bind_http(config: &Config) -> Result<Option<(TcpListener, SocketAddr)>, Error> {
    let Some(address) = config.http.clone() else { return Ok(None) };
    match telemetry::bind(&address).await {
        Ok(bound) => Ok(Some(bound)),
        Err(source) => Err(Error::Http { address, source }),
    }
}

fn read_token(config: &Config) -> Result<Option<Token>, ListenError> {
    let Some(file) = &config.controller_token else { return Ok(None) };
    let token = Token::read(file).map_err(|source| ListenError::Token { file: file.clone(), source })?;
    Ok(Some(token))
}

/// Binds the CONTROLLER listener, if there is one, and serves what is added.
async fn listen(
    config: &Config,
    token: Option<Token>,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<(Services, Option<SocketAddr>), Error> {
    let Some(endpoint) = &config.listeners.controller else { return Ok((Services::default(), None)) };
    let listener = ControllerListener::bind(endpoint, token).await?;
    let (services, address) = (listener.services(), listener.address());
    info!(listener = %endpoint.name, %address, "listening");
    tasks.spawn(listener.serve(shutdown.clone()));
    Ok((services, Some(address)))
}

/// What the other nodes dial to reach this one's CONTROLLER listener.
fn advertised_controller(config: &Config, bound: Option<SocketAddr>) -> String {
    let (Some(listener), Some(bound)) = (&config.listeners.controller, bound) else { return String::new() };
    if let Some(own) = config.quorum.founders().iter().find(|voter| voter.id == config.node_id) {
        return own.address.clone();
    }
    let endpoint = config.listeners.controller_advertised.as_ref().unwrap_or(listener);
    let host = if endpoint.is_wildcard() { host_name() } else { endpoint.host.clone() };
    let port = if endpoint.port == 0 { bound.port() } else { endpoint.port };
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!("{open}{host}{close}:{port}")
}

/// Puts aside what lies in log directories that the cluster has retired; they are then as good as empty.
async fn put_retired_aside(config: &Arc<Config>) -> Result<(), Error> {
    let config = Arc::clone(config);
    let put_all = move || {
        for dir in &config.log_dirs {
            if let Some(aside) = ottla_storage::put_aside(dir, &config.retired_directories)? {
                warn!(dir = %dir.display(), aside = %aside.display(), "the cluster has retired this log directory: it is put aside");
            }
        }
        Ok(())
    };
    tokio::task::spawn_blocking(put_all).await.map_err(std::io::Error::other)?
}

/// What the configuration and the disks say of this broker.
fn newcomer(config: &Config) -> Result<Newcomer, Error> {
    let mut on_disk = None;
    for (place, dir) in config.log_dirs.iter().enumerate() {
        let found = match MetaProperties::read(dir) {
            // Only the first directory is indispensable; another that cannot be read is offline once it is opened.
            Err(ottla_storage::Error::Io { .. }) if place > 0 => None,
            found => found?,
        };
        on_disk = on_disk.or(found.map(|properties| properties.cluster_id));
    }
    Ok(Newcomer {
        me: config.node_id,
        quorum: config.quorum.clone(),
        on_disk,
        configured: config.cluster_id.clone(),
        has_log: quorum::has_log(&config.log_dirs[0].join(METADATA)),
    })
}

fn log_options(config: &Config, replicas: &Manager, bound: Option<SocketAddr>) -> quorum::Options {
    let directories = replicas.directories();
    let first = directories.first().expect("the configuration has at least one log directory");
    let me = quorum::VoterId::new(config.node_id, first.id);
    quorum::Options::new(first.path.join(METADATA), me, advertised_controller(config, bound))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_predecessor_is_waited_for_before_its_addresses_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let lock = File::create(data.join(".lock")).unwrap();
        lock.lock().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let http = taken.local_addr().unwrap().to_string();
        let values = [("log.dirs", data.display().to_string()), ("ottla.http.listener", http)];
        let values: BTreeMap<_, _> = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut start = pin!(Node::start(Arc::new(Config::from_values(values).unwrap())));
        assert!(poll!(start.as_mut()).is_pending());
        drop(lock);
        // The address is never given back here.
        assert!(matches!(start.await, Err(Error::Http { .. })));
    }

    /// A lock kept across a wait of the stop has stopped a broker for ever; none of them may be sent to other threads.
    #[test]
    fn nothing_is_kept_locked_while_a_stop_waits() {
        fn is_send<F: Send>(_: impl FnOnce(Node) -> F) {}
        is_send(Node::stop);
    }
}
