//! A broker at work: its listeners, its uptime, its background tasks, and the order in which they stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{PreviousStop, Settings};
use ottla_core::metadata::{self, SecurityProtocol};
use ottla_core::{BrokerEpoch, TopicId};
use tokio::net::lookup_host;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use uuid::Uuid;

use super::Broker;
use crate::api::Dispatcher;
use crate::controller::{Life, SubmitError, Uptime, register};
use crate::net::{Listener, Loops, Shared};
use crate::replica::{Directory, fetcher, send_proposals, watch_lag};
use crate::{group, share, txn};

/// Why a broker does not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The listener as configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// There are no threads to be had for connections.
    #[error("cannot start the event loops of connections: {0}")]
    Threads(#[source] io::Error),
    /// The controller does not take the broker in.
    #[error("cannot register: {0}")]
    Register(#[from] SubmitError),
}

/// A broker that serves.
pub struct Running {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Where it listens: the name of each listener and the address it got.
    pub addresses: Vec<(String, SocketAddr)>,
    life: Life,
    shared: Arc<Shared<Dispatcher>>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Binds the listeners, begins this uptime under `incarnation`, and serves. The metadata must be running, with the
    /// broker's replicas given to its publisher.
    pub async fn start(broker: Arc<Broker>, incarnation: Uuid) -> Result<Self, StartError> {
        crate::allocator::give_large_pieces_back();
        let shutdown = CancellationToken::new();
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for endpoint in &broker.config.listeners.kafka {
            let listen = |source| StartError::Listen { address: endpoint.to_string(), source };
            let listener = bind(endpoint, broker.config.net.backlog).await.map_err(listen)?;
            addresses.push((endpoint.name.clone(), listener.local_addr().map_err(listen)?));
            listeners.push(listener);
        }
        let life = register(&broker.controller, uptime(&broker, incarnation, &addresses)).await?;
        broker.replicas.stop_reported();
        // It is set here alone, once.
        let _ = broker.epoch.set(life.epoch());
        let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&broker)));
        let shared = Shared::new(dispatcher, (&broker.config.net).into(), shutdown.clone());
        let loops = Arc::new(Loops::start().map_err(StartError::Threads)?);
        let tasks = TaskTracker::new();
        for listener in listeners {
            tasks.spawn(listener.run(Arc::clone(&shared), Arc::clone(&loops)));
        }
        tasks.spawn(Arc::clone(&broker.replicas).maintain(shutdown.clone()));
        replicate(&broker, life.epoch(), &tasks, &shutdown);
        coordinate(&broker, &tasks, &shutdown);
        if let Some(delivery) = broker.client_metrics.delivery() {
            tasks.spawn(delivery.run(shutdown.clone()));
        }
        look_after_directories(&broker, &tasks, &shutdown);
        for (name, address) in &addresses {
            info!(listener = %name, %address, "listening");
        }
        Ok(Self { broker, addresses, life, shared, shutdown, tasks })
    }

    /// Resolves once another process has registered this broker's id.
    pub async fn superseded(&self) {
        self.life.superseded().await;
    }

    /// Resolves once the cluster has forgotten this broker, which has to begin anew.
    pub async fn forgotten(&self) {
        self.life.forgotten().await;
    }

    /// Client connections open at this moment.
    pub fn open_connections(&self) -> usize {
        self.shared.open_connections()
    }

    /// Counts the open client connections, for as long as anybody asks.
    pub fn connection_count(&self) -> impl Fn() -> usize + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.open_connections()
    }

    /// Has others lead what this broker leads; it still serves.
    pub async fn hand_over(&self) {
        self.life.hand_over().await;
    }

    /// Stops: no new connections or requests, then the replicas flushed and the clean-stop markers written. The metadata
    /// goes on; the caller stops it afterwards.
    pub async fn leave(self) -> Result<(), ottla_storage::Error> {
        self.shutdown.cancel();
        self.tasks.close();
        // The listeners among them wait for their connections.
        self.tasks.wait().await;
        // After this nothing more is appended for groups, transactions and share groups.
        self.broker.groups.stop().await;
        self.broker.transactions.stop().await;
        self.broker.share_states.stop().await;
        let epoch = self.broker.epoch.get().copied().unwrap_or(BrokerEpoch(-1));
        let replicas = Arc::clone(&self.broker.replicas);
        let closed = tokio::task::spawn_blocking(move || replicas.close(epoch)).await;
        closed.unwrap_or_else(|error| {
            let source = io::Error::other(error);
            Err(ottla_storage::Error::Io { operation: "close", path: "log directories".into(), source })
        })
    }
}

/// Starts what keeps the replicas of other brokers and of this one together.
fn replicate(broker: &Arc<Broker>, epoch: BrokerEpoch, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let replicas = &broker.replicas;
    let context = fetcher::Context {
        me: broker.id(),
        epoch,
        listener: broker.config.listeners.inter_broker.clone(),
        controller: broker.controller.clone(),
        clock: *replicas.clock(),
        settings: fetcher::Settings::read(&broker.config),
    };
    let (fetchers, stop) = (Arc::clone(replicas.fetchers()), shutdown.clone());
    tasks.spawn(async move { fetchers.run(Arc::new(context), stop).await });
    let (manager, controller) = (Arc::clone(replicas), broker.controller.clone());
    tasks.spawn(send_proposals(manager, controller, broker.id(), epoch, shutdown.clone()));
    let max_lag = broker.config.fixed.get("replica.lag.time.max.ms").and_then(|value| value.trim().parse().ok());
    let max_lag = Duration::from_millis(max_lag.unwrap_or(30_000));
    tasks.spawn(watch_lag(Arc::clone(replicas), max_lag, shutdown.clone()));
}

/// Starts the coordinators, and what they need done.
fn coordinate(broker: &Arc<Broker>, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let (images, replicas, me) = (|| broker.controller.watch(), &broker.replicas, broker.id());
    tasks.spawn(Arc::clone(&broker.groups).follow(images(), Arc::clone(replicas), me, shutdown.clone()));
    tasks.spawn(Arc::clone(&broker.transactions).follow(images(), Arc::clone(replicas), me, shutdown.clone()));
    tasks.spawn(Arc::clone(&broker.share_states).follow(images(), Arc::clone(replicas), me, shutdown.clone()));
    tasks.spawn(share::run(Arc::clone(broker), shutdown.clone()));
    if let Some(jobs) = broker.group_jobs.lock().take() {
        tasks.spawn(jobs.run(Arc::clone(broker), shutdown.clone(), group::act));
    }
    if let Some(jobs) = broker.transaction_jobs.lock().take() {
        tasks.spawn(jobs.run(Arc::clone(broker), shutdown.clone(), txn::act));
    }
}

/// Tells the controller of the log directories, moves replicas between them, and cleans the compacted ones.
fn look_after_directories(broker: &Arc<Broker>, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let (controller, known) = (broker.controller.clone(), Arc::clone(broker));
    let epoch = move || known.epoch.get().copied();
    tasks.spawn(Arc::clone(&broker.replicas).report(controller, epoch, shutdown.clone()));
    tasks.spawn(Arc::clone(&broker.replicas).run_moves(shutdown.clone()));
    tasks.spawn(Arc::clone(&broker.replicas).clean(shutdown.clone()));
}

async fn bind(endpoint: &crate::config::Endpoint, backlog: u32) -> io::Result<Listener> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    for address in lookup_host(endpoint.bind_address()).await? {
        match Listener::bind(&endpoint.name, address, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn uptime(broker: &Broker, incarnation: Uuid, addresses: &[(String, SocketAddr)]) -> Uptime {
    let directories: Vec<_> =
        broker.replicas.directories().into_iter().filter(|directory| directory.failure.is_none()).collect();
    let bound = |name: &str| addresses.iter().find(|(bound, _)| bound == name).map_or(0, |(_, at)| at.port());
    let endpoints = broker.config.listeners.advertised.iter().map(|endpoint| metadata::Endpoint {
        listener: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: if endpoint.port == 0 { bound(&endpoint.name) } else { endpoint.port },
        security_protocol: SecurityProtocol::Plaintext,
    });
    Uptime {
        broker: broker.id(),
        incarnation,
        cluster_id: broker.image().cluster_id().to_owned(),
        endpoints: endpoints.collect(),
        rack: broker.config.rack.clone(),
        previous: previous_stop(&directories, broker.replicas.damaged()),
        heartbeat_interval: Settings::new(broker.config.fixed.clone()).heartbeat_interval(),
        directories: directories.iter().map(|dir| dir.id).collect(),
    }
}

/// The stop before this start: clean if it was in every directory.
fn previous_stop(directories: &[Directory], damaged: Vec<(TopicId, i32)>) -> PreviousStop {
    use ottla_storage::PreviousStop as Stop;
    let mut clean = None;
    let mut page_cache_kept = true;
    for directory in directories {
        match directory.previous_stop {
            // A new directory says nothing.
            Stop::None => {}
            Stop::Clean(epoch) => {
                clean.get_or_insert(epoch);
            }
            Stop::ProcessCrash => clean = Some(BrokerEpoch(-1)),
            Stop::PowerLoss => (clean, page_cache_kept) = (Some(BrokerEpoch(-1)), false),
        }
    }
    match clean {
        Some(epoch) if epoch != BrokerEpoch(-1) && damaged.is_empty() => PreviousStop::Clean(epoch),
        _ => PreviousStop::Unclean { page_cache_kept, damaged },
    }
}
