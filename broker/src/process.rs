//! The broker as a process: arguments, logging, signals, and what its exit code says.
//!
//! Must not know how a broker works: it starts the parts in order and stops them in reverse.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use ottla_core::BrokerId;
use ottla_core::controller::Settings;
use ottla_storage::{Identity, MetaProperties};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::broker::{Broker, Running};
use crate::config::{self, Config};
use crate::controller::{self, Service, SubmitError, quorum};
use crate::replica::Manager;
use crate::telemetry::{self, Gauges, Health, Metrics, Snapshot, State};

/// What the command line says.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// The properties file; without one the broker is a complete single broker on loopback.
    pub server_properties: Option<PathBuf>,
    /// A property that counts more than the file; may be given several times.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// Why the process ends other than by a signal.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Storage(#[from] ottla_storage::Error),
    #[error(transparent)]
    Metadata(#[from] controller::StartError),
    #[error(transparent)]
    Start(#[from] crate::broker::StartError),
    #[error("cannot listen on {address} (ottla.http.listener): {source}")]
    Http { address: String, source: std::io::Error },
    #[error("the metadata log has stopped: {0}")]
    MetadataStopped(String),
    #[error("cannot set up the process: {0}")]
    Process(#[from] std::io::Error),
}

impl Failure {
    /// 2 bad configuration, 3 refused identity, 4 storage failure, 70 bug.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Http { .. } => 2,
            Self::Start(crate::broker::StartError::Listen { .. }) => 2,
            Self::Storage(ottla_storage::Error::Identity(_)) => 3,
            Self::Metadata(error) if error.is_identity() => 3,
            Self::Storage(_) | Self::Metadata(_) | Self::MetadataStopped(_) => 4,
            Self::Start(crate::broker::StartError::Register(SubmitError::Stopped)) => 4,
            Self::Start(_) | Self::Process(_) => 70,
        }
    }
}

/// Runs a broker until SIGTERM or SIGINT, and returns its exit code. A second signal ends the process at once.
pub fn run(arguments: &Arguments) -> ExitCode {
    match try_run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Log lines on standard error, at `info` or what `OTTLA_LOG` says.
pub fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OTTLA_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,openraft=warn"));
    // Fails only when a subscriber is set already, and then that one is meant.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .try_init();
}

fn try_run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(arguments.server_properties.as_deref(), &arguments.overrides)?;
    let unused = config.unused_keys();
    if !unused.is_empty() {
        warn!(keys = %unused.join(", "), "these keys of Kafka have no effect in Ottla");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(Arc::new(config)))
}

async fn serve(config: Arc<Config>) -> Result<(), Failure> {
    let mut stop = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let health = Arc::new(Health::new());
    let http_shutdown = CancellationToken::new();
    let http = bind_http(&config).await?;

    let cluster_id = known_cluster_id(&config)?.unwrap_or_else(controller::new_cluster_id);
    let identity = Identity { cluster_id: cluster_id.clone(), node_id: config.node_id };
    let opening = Arc::clone(&config);
    let metrics = Metrics::new();
    let counting = metrics.clone();
    let replicas = tokio::task::spawn_blocking(move || Manager::open(opening, &identity, counting)).await;
    let replicas = Arc::new(replicas.map_err(std::io::Error::other)??);
    let incarnation = Uuid::new_v4();
    let metadata = Service::start(
        metadata_options(&config, &replicas, incarnation, cluster_id),
        Arc::clone(&replicas) as Arc<dyn controller::Replicas>,
        {
            let replicas = Arc::clone(&replicas);
            move || replicas.clock().now()
        },
    )
    .await?;
    let broker = Arc::new(Broker::new(Arc::clone(&config), metadata.handle(), Arc::clone(&replicas)));
    let running = Running::start(Arc::clone(&broker), incarnation).await?;
    health.set(State::Ready);
    if let Some((listener, address)) = http {
        info!(%address, "serving metrics and probes");
        let registry = metrics.registry(gauges(&running));
        tokio::spawn(telemetry::serve(listener, Arc::clone(&health), registry, http_shutdown.clone()));
    }

    let mut metadata_failure = None;
    tokio::select! {
        _ = stop.recv() => info!("SIGTERM: stopping"),
        _ = interrupt.recv() => info!("SIGINT: stopping"),
        // Without metadata the broker would go on with what it knew for ever.
        reason = metadata.log().stopped() => metadata_failure = Some(reason.unwrap_or_default()),
    }
    health.set(State::Stopping);
    tokio::spawn(async move {
        tokio::select! { _ = stop.recv() => {}, _ = interrupt.recv() => {} }
        warn!("second signal: stopping at once");
        std::process::exit(0);
    });
    let stopped = running.stop().await;
    metadata.shutdown().await;
    http_shutdown.cancel();
    stopped?;
    if let Some(reason) = metadata_failure {
        return Err(Failure::MetadataStopped(reason));
    }
    info!("stopped");
    Ok(())
}

async fn bind_http(config: &Config) -> Result<Option<(tokio::net::TcpListener, std::net::SocketAddr)>, Failure> {
    let Some(address) = config.http.clone() else { return Ok(None) };
    match telemetry::bind(&address).await {
        Ok(bound) => Ok(Some(bound)),
        Err(source) => Err(Failure::Http { address, source }),
    }
}

/// The cluster that the disks belong to, else the one that the configuration names.
fn known_cluster_id(config: &Config) -> Result<Option<String>, Failure> {
    for dir in &config.log_dirs {
        if let Some(properties) = MetaProperties::read(dir)? {
            return Ok(Some(config.cluster_id.clone().unwrap_or(properties.cluster_id)));
        }
    }
    Ok(config.cluster_id.clone())
}

fn metadata_options(config: &Config, replicas: &Manager, incarnation: Uuid, cluster_id: String) -> controller::Options {
    let directories = replicas.directories();
    let first = directories.first().expect("the configuration has at least one log directory");
    let me = quorum::VoterId::new(BrokerId(config.node_id.0), first.id);
    let address = config.listeners.controller.as_ref();
    let address = address.map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port)).unwrap_or_default();
    controller::Options {
        log: quorum::Options::new(first.path.join("__cluster_metadata"), me, address),
        incarnation,
        settings: Settings::new(config.fixed.clone()),
        cluster_id: Some(cluster_id),
    }
}

/// What a scrape counts.
fn gauges(running: &Running) -> Gauges {
    let (broker, connections) = (Arc::clone(&running.broker), running.connection_count());
    Arc::new(move || {
        let mut now = Snapshot { connections: connections() as i64, ..Snapshot::default() };
        for partition in broker.replicas.topics().partitions() {
            now.partitions += 1;
            if let Some((isr, min_isr, replicas)) = partition.isr_state() {
                now.leaders += 1;
                now.under_replicated += i64::from(isr < replicas);
                now.under_min_isr += i64::from(isr < min_isr);
            }
        }
        let image = broker.image();
        if image.controller().is_some_and(|controller| controller.broker == broker.id()) {
            now.active_controller = 1;
            let partitions = image.topics().iter().flat_map(|topic| &topic.partitions);
            now.offline_partitions = partitions.filter(|partition| partition.leader == BrokerId::NONE).count() as i64;
        }
        let failed = |directory: &crate::replica::Directory| directory.failure.is_some();
        now.offline_log_dirs =
            broker.replicas.directories().iter().filter(|directory| failed(directory)).count() as i64;
        now
    })
}
