//! A kubelet whose containers are plain local processes.
//!
//! It does for the pods of one node what a kubelet does — start, probe, restart, stop, report — through `kube::Client` only, so it
//! could serve a real API server. There are no namespaces of any sort: `rewrite` says what stands in for them, `guard` why nothing
//! is left running. Not supported, and said so in the pod's status: init containers, images without a local command, HTTPS and
//! gRPC probes, hooks, volumes other than those of `volumes`. Resources and security contexts are not enforced.

mod address;
pub mod claims;
mod config;
mod container;
mod downward;
mod env;
mod expand;
mod guard;
mod logs;
mod node;
mod pod;
mod probe;
mod prober;
mod process;
mod rewrite;
mod sandbox;
mod sources;
mod status;
mod volumes;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) use address::Addresses;
pub use address::Error as NoAddress;
pub use config::{Images, KubeletConfig, RestartPauses};
pub(crate) use downward::HOST_ADDRESS;
pub use logs::Logs;

use crate::recorder::Recorder;

/// Why the kubelet cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process that keeps the promise of leaving nothing running could not be started.
    #[error("cannot start sh, which watches over the pods' processes")]
    Guard(#[source] io::Error),
    /// A folder could not be made.
    #[error("cannot use the data folder {0}")]
    Folder(PathBuf, #[source] io::Error),
}

/// A process kubelet, not yet running.
#[derive(Debug)]
pub struct Kubelet {
    config: KubeletConfig,
    guard: Arc<guard::Guard>,
    logs: Logs,
}

/// What all pods of the node share.
struct Node {
    client: Client,
    config: KubeletConfig,
    addresses: Addresses,
    guard: Arc<guard::Guard>,
    logs: Logs,
    recorder: Recorder,
}

impl Node {
    fn claims_folder(&self) -> PathBuf {
        claims_folder(&self.config)
    }
}

fn claims_folder(config: &KubeletConfig) -> PathBuf {
    config.data_dir.join("claims")
}

impl Kubelet {
    /// Prepares the data folder and starts the guard.
    pub fn new(config: KubeletConfig) -> Result<Self, Error> {
        let logs = config.data_dir.join("logs");
        for folder in [&logs, &claims_folder(&config), &config.data_dir.join("pods")] {
            std::fs::create_dir_all(folder).map_err(|error| Error::Folder(folder.clone(), error))?;
        }
        let guard = Arc::new(guard::Guard::start().map_err(Error::Guard)?);
        Ok(Self { guard, logs: Logs::new(logs), config })
    }

    /// The pods' logs, for [`ApiServer::set_log_source`](crate::ApiServer::set_log_source).
    pub fn logs(&self) -> Arc<Logs> {
        Arc::new(self.logs.clone())
    }

    /// Serves the node until `shutdown`, then stops every process and returns when none is left. The pods' objects stay, and a
    /// later run with the same data starts them again.
    pub async fn run(self, client: Client, shutdown: CancellationToken) {
        node::register(&client, &self.config.node_name).await;
        let binder = tokio::spawn(claims::run(client.clone(), claims_folder(&self.config), shutdown.clone()));
        let node = Arc::new(Node {
            recorder: Recorder::start(client.clone(), "kubelet"),
            client,
            config: self.config,
            addresses: Addresses::default(),
            guard: self.guard,
            logs: self.logs,
        });
        let mut pods =
            Pods { node: node.clone(), shutdown: shutdown.clone(), workers: HashMap::new(), listed: Vec::new() };
        let mut events =
            watcher(Api::<Pod>::all(node.client.clone()), watcher::Config::default()).default_backoff().boxed();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(event) = events.next() => match event {
                    Ok(event) => pods.on(event).await,
                    Err(error) => warn!(%error, "watch of pods broken, beginning again"),
                },
            }
        }
        pods.join().await;
        // It fails only if it panicked, and then there is nothing to wait for either.
        let _ = binder.await;
    }
}

/// The pods of this node and their tasks, by uid.
struct Pods {
    node: Arc<Node>,
    shutdown: CancellationToken,
    workers: HashMap<String, Worker>,
    /// The uids seen in the listing under way.
    listed: Vec<String>,
}

struct Worker {
    namespace: Option<String>,
    name: String,
    latest: watch::Sender<pod::Latest>,
    task: JoinHandle<()>,
}

impl Pods {
    async fn on(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Apply(pod) => self.apply(pod).await,
            watcher::Event::Delete(pod) => self.gone(&pod.uid().unwrap_or_default()),
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(pod) => {
                self.listed.push(pod.uid().unwrap_or_default());
                self.apply(pod).await;
            }
            watcher::Event::InitDone => {
                let missing: Vec<_> = self.workers.keys().filter(|uid| !self.listed.contains(uid)).cloned().collect();
                missing.iter().for_each(|uid| self.gone(uid));
            }
        }
    }

    async fn apply(&mut self, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty()) {
            None => return node::bind(&self.node, &pod).await,
            Some(name) if name != self.node.config.node_name => return,
            Some(_) => {}
        }
        if let Some(worker) = self.workers.get(&uid) {
            worker.latest.send_replace(Some(Arc::new(pod)));
            return;
        }
        self.workers.retain(|_, worker| !worker.task.is_finished());
        // A pod of the same name that still ends may hold the same claims: the new one waits for it.
        let same_name = |worker: &&Worker| worker.name == pod.name_any() && worker.namespace == pod.namespace();
        let earlier: Vec<_> = self.workers.values().filter(same_name).map(|worker| worker.latest.clone()).collect();
        let (namespace, name) = (pod.namespace(), pod.name_any());
        let (latest, receiver) = watch::channel(Some(Arc::new(pod)));
        let worker = pod::Worker { node: self.node.clone(), latest: receiver, shutdown: self.shutdown.clone() };
        let task = tokio::spawn(async move {
            for earlier in earlier {
                // Its worker holds the only receiver.
                earlier.closed().await;
            }
            worker.run().await;
        });
        self.workers.insert(uid, Worker { namespace, name, latest, task });
    }

    fn gone(&mut self, uid: &str) {
        if let Some(worker) = self.workers.get(uid) {
            worker.latest.send_replace(None);
        }
    }

    async fn join(self) {
        for worker in self.workers.into_values() {
            if worker.task.await.is_err() {
                warn!(pod = worker.name, "the task of a pod failed");
            }
        }
    }
}
