//! The embedded API server with everything that makes pods run, in a folder of its own.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod, Service};
use kube::api::{LogParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use ottla_local::hosts::Hosts;
use ottla_local::kubelet::{Images, Kubelet, KubeletConfig};
use ottla_local::{ApiServer, ApiServerConfig};
use rustix::process::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// No condition takes longer than this, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Bench {
    pub client: Client,
    pub hosts: Arc<Hosts>,
    pub folder: TempDir,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Bench {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub async fn start_in(folder: TempDir) -> Self {
        let api = limited("API server", open_api(folder.path().join("api"))).await;
        let hosts = Arc::new(Hosts::create(folder.path().join("hosts")).unwrap());
        let this = std::env::current_exe().unwrap().display().to_string();
        let images = Images::default()
            .with("server", [this.as_str(), "--exact", "serve_when_started_as_a_pod", "--nocapture"])
            .with("shell", ["sh"]);
        let kubelet = Kubelet::new(KubeletConfig::new(folder.path(), hosts.clone(), images)).unwrap();
        api.set_log_source(kubelet.logs());
        let (client, shutdown) = (api.client("default"), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(kubelet.run(client.clone(), shutdown.clone()));
        tasks.spawn(ottla_local::statefulset::run(client.clone(), shutdown.clone()));
        tasks.spawn(ottla_local::endpoints::run(client.clone(), hosts.clone(), shutdown.clone()));
        Self { client, hosts, folder, tasks, shutdown }
    }

    /// Stops everything; the folder can be used again.
    pub async fn stop(mut self) -> TempDir {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.folder
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::default_namespaced(self.client.clone())
    }

    pub async fn create<K>(&self, object: &K)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
    {
        self.api::<K>().create(&PostParams::default(), object).await.unwrap();
    }

    /// Watches the object called `name` until `condition` holds, and returns it.
    pub async fn until<K>(&self, api: &Api<K>, name: &str, condition: impl Fn(Option<&K>) -> bool + Send) -> Option<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let met = await_condition(api.clone(), name, condition);
        match tokio::time::timeout(DEADLINE, met).await {
            Ok(object) => object.unwrap(),
            Err(_) => panic!("{name} is not as expected: {:#?}", api.get_opt(name).await),
        }
    }

    pub async fn until_log(&self, pod: &str, part: &str) -> String {
        use futures::AsyncBufReadExt as _;
        use futures::TryStreamExt as _;
        let follow = LogParams { follow: true, ..LogParams::default() };
        let mut lines = self.api::<Pod>().log_stream(pod, &follow).await.unwrap().lines();
        let wanted = async {
            while let Some(line) = lines.try_next().await.unwrap() {
                if line.contains(part) {
                    return line;
                }
            }
            panic!("the log ended")
        };
        limited(&format!("log line {part:?}"), wanted).await
    }

    pub async fn until_event(&self, object: &str, reason: &str) -> Event {
        use futures::TryStreamExt as _;
        let mut events = Box::pin(watcher(self.api::<Event>(), watcher::Config::default()).applied_objects());
        let wanted = async {
            loop {
                let event = events.try_next().await.unwrap().unwrap();
                if event.involved_object.name.as_deref() == Some(object) && event.reason.as_deref() == Some(reason) {
                    return event;
                }
            }
        };
        limited(&format!("event {reason}"), wanted).await
    }
}

/// An earlier server lets its data go when the last task that has a client of it has ended.
async fn open_api(data_dir: std::path::PathBuf) -> ApiServer {
    loop {
        match ApiServer::new(ApiServerConfig { data_dir: Some(data_dir.clone()) }) {
            Ok(api) => return api,
            Err(error) if format!("{error:?}").contains("InUse") => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn limited<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
}

/// Looks until `condition` holds.
pub fn within(limit: Duration, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < limit, "not so within {limit:?}");
        std::thread::yield_now();
    }
}

/// Pods that answer on port 8080 of their own address and say so to a probe.
pub fn server_set(name: &str, replicas: i32) -> StatefulSet {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "podManagementPolicy": "Parallel", "updateStrategy": {"type": "OnDelete"}, "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 5, "containers": [{
                    "name": "server", "image": "server:1",
                    "env": [{"name": "SERVE_ON", "value": "0.0.0.0:8080"}],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }]},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }],
        },
    }))
    .unwrap()
}

pub fn headless_service(name: &str) -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"clusterIP": "None", "selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }))
    .unwrap()
}

pub fn is_ready(pod: Option<&Pod>) -> bool {
    let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
}

pub fn container(pod: Option<&Pod>) -> Option<ContainerStatus> {
    pod?.status.as_ref()?.container_statuses.as_ref()?.first().cloned()
}

/// The process of a pod's only container.
pub fn pid(pod: &Pod) -> Pid {
    let id = container(Some(pod))
        .and_then(|container| container.container_id)
        .unwrap_or_else(|| panic!("{}", pod.name_any()));
    Pid::from_raw(id.strip_prefix("process://").unwrap().parse().unwrap()).unwrap()
}
