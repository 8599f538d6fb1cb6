//! Everything that runs inside this process, and the order in which it starts and stops.
//!
//! API server, kubelet with its controllers, operator. They stop in the opposite order: nobody restarts what the next one ends, and
//! the API is there until the last pod has ended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use ottla_local::hosts::Hosts;
use ottla_local::kubelet::{Images, Kubelet, KubeletConfig};
use ottla_local::{ApiServer, ApiServerConfig, deployment, disruption, endpoints, kubeconfig, proxy, statefulset};
use ottla_operator::OperatorConfig;
use ottla_operator::kafka::WireConnector;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// The namespace of objects that name none.
const NAMESPACE: &str = "default";

/// Images that this executable stands for, by the beginnings of their names, and the verb of each.
const IMAGES: [(&str, Option<&str>); 3] = [
    ("ghcr.io/ottla-io/ottla:", None),
    ("ghcr.io/ottla-io/ottla-broker", Some("broker")),
    ("ghcr.io/ottla-io/ottla-operator", Some("operator")),
];

/// A running stack.
pub struct Stack {
    /// A client of the embedded API.
    pub client: Client,
    /// The names of pods and Services.
    pub hosts: Arc<Hosts>,
    /// The kubeconfig for kubectl.
    pub kubeconfig: PathBuf,
    stages: Vec<Stage>,
}

/// How long the API server, and how long the operator, may take to stop.
const SOON: Duration = Duration::from_secs(2);
/// How long the kubelet may take: the grace of the pods, and some.
const WITH_GRACE: Duration = Duration::from_secs(90);

/// Tasks that stop together.
struct Stage {
    name: &'static str,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
    limit: Duration,
}

impl Stage {
    fn new(name: &'static str, limit: Duration) -> Self {
        Self { name, tasks: JoinSet::new(), shutdown: CancellationToken::new(), limit }
    }
}

impl Stack {
    /// Starts everything but the operator, with all state below `data` and the API on `kube_port` (0: a free one).
    pub async fn start(data: &Path, kube_port: u16) -> anyhow::Result<Self> {
        let api = ApiServer::new(ApiServerConfig { data_dir: Some(data.join("api")) })
            .with_context(|| format!("cannot use {} (is another `ottla local` running on it?)", data.display()))?;
        let listener = TcpListener::bind(("127.0.0.1", kube_port)).await.with_context(|| {
            format!(
                "port {kube_port} for the Kubernetes API is taken: choose another with --kube-port, or leave it out"
            )
        })?;
        let url = format!("http://{}", listener.local_addr()?);
        let kubeconfig_file = data.join("kubeconfig");
        std::fs::write(&kubeconfig_file, kubeconfig(&url)).context("cannot write the kubeconfig")?;

        let hosts = Arc::new(Hosts::create(data.join("hosts")).context("cannot write the hosts file")?);
        let kubelet = KubeletConfig::new(data, hosts.clone(), images()?);
        let kubelet = Kubelet::new(KubeletConfig { kubeconfig: Some(kubeconfig_file.clone()), ..kubelet })?;
        api.set_log_source(kubelet.logs());
        let client = api.client(NAMESPACE);

        let mut serving = Stage::new("API server", SOON);
        let stop = serving.shutdown.clone();
        serving.tasks.spawn(async move {
            if let Err(error) = api.serve(listener, stop).await {
                error!(error = &error as &dyn std::error::Error, "the API server failed");
            }
        });
        let mut node = Stage::new("kubelet", WITH_GRACE);
        node.tasks.spawn(kubelet.run(client.clone(), node.shutdown.clone()));
        node.tasks.spawn(statefulset::run(client.clone(), node.shutdown.clone()));
        node.tasks.spawn(deployment::run(client.clone(), node.shutdown.clone()));
        node.tasks.spawn(disruption::run(client.clone(), node.shutdown.clone()));
        node.tasks.spawn(endpoints::run(client.clone(), hosts.clone(), node.shutdown.clone()));
        node.tasks.spawn(proxy::run(client.clone(), node.shutdown.clone()));
        Ok(Self { client, hosts, kubeconfig: kubeconfig_file, stages: vec![serving, node] })
    }

    /// Starts the operator, whose definitions the API must serve by now.
    pub fn start_operator(&mut self) {
        let config = OperatorConfig { instance: Some("ottla-local".to_owned()), ..OperatorConfig::default() };
        let connector = Arc::new(WireConnector::with_hosts_file(self.hosts.path()));
        let mut stage = Stage::new("operator", SOON);
        let (client, shutdown) = (self.client.clone(), stage.shutdown.clone());
        stage.tasks.spawn(async move {
            if let Err(error) = ottla_operator::run_with(client, config, connector, shutdown).await {
                error!(error = &error as &dyn std::error::Error, "the operator failed");
            }
        });
        self.stages.push(stage);
    }

    /// Stops everything, and returns when nothing is left running.
    pub async fn stop(mut self) {
        while let Some(mut stage) = self.stages.pop() {
            stage.shutdown.cancel();
            let ended = async { while stage.tasks.join_next().await.is_some() {} };
            // Each stage bounds its own end; this is for what should never be.
            if tokio::time::timeout(stage.limit, ended).await.is_err() {
                warn!(stage = stage.name, "some tasks did not stop by themselves and are ended");
                stage.tasks.shutdown().await;
            }
        }
    }
}

fn images() -> anyhow::Result<Images> {
    let this = std::env::current_exe().context("cannot find this executable, which the brokers are to run")?;
    let this = this.display().to_string();
    Ok(IMAGES.iter().fold(Images::default(), |images, (prefix, verb)| {
        images.with(*prefix, std::iter::once(this.as_str()).chain(*verb))
    }))
}
