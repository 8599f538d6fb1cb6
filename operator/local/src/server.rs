//! The server as one value: composition of store, registry, router and background work.
//!
//! Nothing here knows a verb or a kind, apart from the namespaces that exist from the start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use axum::{Extension, Router};
use parking_lot::RwLock;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::core::Core;
use crate::handlers;
use crate::lifecycle;
use crate::logs::LogSource;
use crate::object;
use crate::openapi::OpenApi;
use crate::resources::{Registry, builtin};
use crate::store::{self, JournalError, Store};
use crate::watch::Closing;
use crate::writes;

/// Namespaces that exist from the start.
const NAMESPACES: [&str; 2] = ["default", "kube-system"];
/// How long open requests may take to end once the listener is told to stop.
const STOPPING: Duration = Duration::from_secs(2);

/// How to start an [`ApiServer`].
#[derive(Clone, Debug, Default)]
pub struct ApiServerConfig {
    /// Where the journal is kept; `None` keeps the state in memory only.
    pub data_dir: Option<PathBuf>,
}

/// Why the server could not start or went down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory could not be used.
    #[error("the state could not be loaded")]
    Journal(#[from] JournalError),
    /// The state could not be prepared.
    #[error("the state could not be prepared: {0}")]
    Prepare(String),
    /// The listener failed.
    #[error("the listener failed")]
    Listen(#[source] std::io::Error),
}

/// An embedded Kubernetes API server. Clones are handles to the same server; its background work (garbage
/// collection, namespace deletion) ends when the last one is dropped.
#[derive(Clone)]
pub struct ApiServer {
    core: Arc<Core>,
    _closing: Arc<DropGuard>,
}

impl ApiServer {
    /// Loads the state of `config.data_dir`, if any, and starts the background work. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// The data directory is in use, unreadable or damaged.
    pub fn new(config: ApiServerConfig) -> Result<Self, Error> {
        let store = Store::open(config.data_dir.as_deref()).map_err(|error| match error {
            store::Error::Journal(error) => Error::Journal(error),
            other => Error::Prepare(other.to_string()),
        })?;
        let closing = CancellationToken::new();
        let core = Arc::new(Core {
            store,
            registry: Registry::new(),
            openapi: OpenApi::default(),
            logs: RwLock::new(None),
            closing: closing.clone(),
        });
        for definition in core.store.list(&Arc::from(builtin::DEFINITIONS), None).0 {
            core.registry.install(&definition);
        }
        ensure_namespaces(&core)?;
        tokio::spawn(lifecycle::run(Arc::downgrade(&core)));
        Ok(Self { core, _closing: Arc::new(closing.drop_guard()) })
    }

    /// The whole API as a service, for in-process use and tests.
    pub fn router(&self) -> Router {
        Router::new().fallback(handlers::handle).with_state(self.core.clone())
    }

    /// A client that calls the router directly, without a socket. `namespace` is its default namespace.
    pub fn client(&self, namespace: &str) -> kube::Client {
        kube::Client::new(self.router(), namespace)
    }

    /// Serves plain HTTP/1.1 and HTTP/2 on `listener` until `shutdown` is cancelled; open watches end then, and
    /// whatever else is still open two seconds later is cut off.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
        let router = self.router().layer(Extension(Closing(shutdown.clone())));
        let listener = listener.tap_io(|socket| {
            // Watch events are small and must not wait for more.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
        });
        let stop = shutdown.clone();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
        tokio::select! {
            served = async { serving.await } => served.map_err(Error::Listen),
            () = async { shutdown.cancelled().await; tokio::time::sleep(STOPPING).await } => Ok(()),
        }
    }

    /// Makes `GET …/pods/x/log` answer from `source`; until then it answers 503.
    pub fn set_log_source(&self, source: Arc<dyn LogSource>) {
        *self.core.logs.write() = Some(source);
    }
}

fn ensure_namespaces(core: &Core) -> Result<(), Error> {
    let Some(namespaces) = core.registry.get("", "v1", "namespaces") else { return Ok(()) };
    for name in NAMESPACES {
        if core.store.get(&namespaces.key("", name)).is_some() {
            continue;
        }
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": name, "uid": uuid::Uuid::new_v4().to_string(), "generation": 1,
                "creationTimestamp": object::now_seconds(), "labels": {"kubernetes.io/metadata.name": name},
            },
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        writes::create(core, &namespaces, namespace).map_err(|error| Error::Prepare(error.to_string()))?;
    }
    Ok(())
}
