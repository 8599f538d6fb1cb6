//! A Kubernetes with the operator in it, and ways to wait for what should come.

use std::{
    fmt::Debug,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::Request,
    http::{Method, StatusCode},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use ottla_crds::{
    KafkaCluster, KafkaTopic,
    conditions::{self, ConditionType},
    manifest,
};
use ottla_local::{ApiServer, ApiServerConfig};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    kubelet,
    mortal::{self, Mortal},
    permissions::Rules,
    watching::Watching,
};
use crate::{OperatorConfig, config::Pace, context::Context, kafka::fake::FakeCluster, run_with};

/// The namespace of everything here.
pub const NAMESPACE: &str = "default";
/// How long anything may take to come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Sees every request of the operator.
#[derive(Default)]
pub struct Wiretap {
    writes: Mutex<Vec<String>>,
    requests: AtomicUsize,
    /// Answer this request (counted from 1) with a failure; 0 lets all through.
    fail_at: AtomicUsize,
    /// Whether the failed request is done all the same, as when only the answer is lost.
    does_it: AtomicBool,
    /// What the operator may do: anything else is refused, as by a real API server.
    rules: Rules,
}

impl Wiretap {
    /// The writes since the last call of this, as `METHOD path`.
    pub fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.writes.lock().unwrap())
    }

    /// Fails the `count`th request from now, having done it or not.
    pub fn fail_later(&self, count: usize, does_it: bool) {
        self.does_it.store(does_it, Ordering::SeqCst);
        self.fail_at.store(self.requests() + count, Ordering::SeqCst);
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    async fn pass(self: Arc<Self>, request: Request, next: Next) -> Response {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        if request.method() != Method::GET {
            self.writes.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
        }
        if let Err(lacking) = self.rules.check(request.method(), request.uri()) {
            return lacking.into_response();
        }
        if number == self.fail_at.load(Ordering::SeqCst) {
            if self.does_it.load(Ordering::SeqCst) {
                next.run(request).await;
            }
            return (StatusCode::SERVICE_UNAVAILABLE, "the request failed for a test").into_response();
        }
        next.run(request).await
    }
}

/// A Kubernetes, a Kafka cluster that its brokers would be, and the tasks that stand in for nodes.
pub struct Bench {
    /// A person's client.
    pub client: Client,
    /// What the brokers hold.
    pub kafka: FakeCluster,
    /// The operator's requests.
    pub wiretap: Arc<Wiretap>,
    operator_client: Client,
    router: axum::Router,
    shutdown: CancellationToken,
    // Its background work, such as the collection of what has no owner, ends with it.
    _server: ApiServer,
    _guard: DropGuard,
}

impl Bench {
    /// A Kubernetes with our definitions installed, in which pods become ready, and no operator yet.
    pub async fn new() -> Self {
        Self::with_wiretap(Wiretap::default()).await
    }

    /// The same with an operator, and the cluster `demo` of this manifest ready.
    pub async fn ready(brokers: i32, manifest: &str) -> Self {
        let bench = Self::new().await;
        bench.kafka.set_brokers(brokers);
        bench.start_operator();
        bench.create(manifest).await;
        bench.cluster("demo", is_ready).await;
        bench
    }

    /// The same, whose API fails the operator's `fail_at`th request, having done it or not.
    pub async fn failing(fail_at: usize, does_it: bool) -> Self {
        Self::with_wiretap(Wiretap { fail_at: fail_at.into(), does_it: does_it.into(), ..Wiretap::default() }).await
    }

    /// A Kubernetes whose pods are the processes of brokers: they found a cluster, join it, stop and come back.
    pub async fn living() -> Self {
        Self::with_nodes(Wiretap::default(), FakeCluster::unfounded(), true).await
    }

    async fn with_wiretap(wiretap: Wiretap) -> Self {
        Self::with_nodes(wiretap, FakeCluster::default(), false).await
    }

    async fn with_nodes(wiretap: Wiretap, kafka: FakeCluster, runs_brokers: bool) -> Self {
        let server = ApiServer::new(ApiServerConfig::default()).unwrap();
        let client = server.client(NAMESPACE);
        install_definitions(&client).await;
        let wiretap = Arc::new(wiretap);
        let tap = wiretap.clone();
        let router = server.router().layer(from_fn(move |request, next| tap.clone().pass(request, next)));
        let shutdown = CancellationToken::new();
        tokio::spawn(ottla_local::statefulset::run(client.clone(), shutdown.clone()));
        if runs_brokers {
            tokio::spawn(kubelet::run_brokers(client.clone(), kafka.clone(), shutdown.clone()));
        } else {
            tokio::spawn(make_pods_ready(client.clone(), shutdown.clone()));
        }
        Self {
            operator_client: Client::new(router.clone(), NAMESPACE),
            router,
            client,
            _server: server,
            kafka,
            wiretap,
            _guard: shutdown.clone().drop_guard(),
            shutdown,
        }
    }

    /// Starts an operator; it stops with the bench.
    pub fn start_operator(&self) -> JoinHandle<()> {
        self.start_operator_until().0
    }

    /// Starts an operator that stops when it is told to, or with the bench.
    pub fn start_operator_until(&self) -> (JoinHandle<()>, CancellationToken) {
        let (client, kafka) = (self.operator_client.clone(), Arc::new(self.kafka.clone()));
        let shutdown = self.shutdown.child_token();
        let stop = shutdown.clone();
        let operator = tokio::spawn(async move { run_with(client, quick(), kafka, stop).await.unwrap() });
        (operator, shutdown)
    }

    /// What a pass would be handed, to run single ones.
    pub fn context(&self) -> Arc<Context> {
        let kafka = Arc::new(self.kafka.clone());
        Arc::new(Context::new(self.operator_client.clone(), quick(), kafka))
    }

    /// What the passes of an operator are handed that dies when `mortal` says so.
    pub fn mortal_context(&self, mortal: &Arc<Mortal>) -> Arc<Context> {
        let client = mortal.client(self.router.clone(), NAMESPACE);
        let connector = mortal::connector(mortal, self.kafka.clone());
        Arc::new(Context::new(client, quick(), connector))
    }

    /// Objects of one kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Creates every object of a manifest.
    pub async fn create(&self, yaml: &str) {
        for document in serde_yaml::Deserializer::from_str(yaml) {
            let document = serde_yaml::Value::deserialize(document).unwrap();
            match document["kind"].as_str() {
                Some("KafkaCluster") => self.post::<KafkaCluster>(document).await.unwrap(),
                Some("KafkaTopic") => self.post::<KafkaTopic>(document).await.unwrap(),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Creates one object, or says why it was refused.
    pub async fn post<K>(&self, document: serde_yaml::Value) -> Result<(), String>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: DeserializeOwned + serde::Serialize + Clone + Debug,
    {
        let object: K = serde_yaml::from_value(document).unwrap();
        let created = self.api::<K>().create(&PostParams::default(), &object).await;
        created.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Merges `spec` into the spec of an object, as a person who edits it.
    pub async fn edit<K>(&self, name: &str, spec: serde_json::Value) -> Result<(), String>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: DeserializeOwned + Clone + Debug,
    {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let edited = self.api::<K>().patch(name, &PatchParams::default(), &patch).await;
        edited.map(|_| ()).map_err(|error| error.to_string())
    }

    /// The cluster once `condition` holds of it.
    pub async fn cluster(&self, name: &str, condition: impl Fn(&KafkaCluster) -> bool) -> KafkaCluster {
        self.until::<KafkaCluster>(name, condition).await
    }

    /// The topic once `condition` holds of it.
    pub async fn topic(&self, name: &str, condition: impl Fn(&KafkaTopic) -> bool) -> KafkaTopic {
        self.until::<KafkaTopic>(name, condition).await
    }

    /// The object once `condition` holds of it.
    pub async fn until<K>(&self, name: &str, condition: impl Fn(&K) -> bool) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: DeserializeOwned + Clone + Debug + Send + 'static,
    {
        Watching::begin(self.api(), name).await.until(condition).await
    }

    /// Which pods the brokers of `demo` have; none for a broker without.
    pub async fn pod_uids(&self, brokers: i32) -> Vec<Option<String>> {
        let mut uids = Vec::new();
        for id in 0..brokers {
            let pod = self.api::<Pod>().get_opt(&format!("demo-broker-{id}")).await.unwrap();
            uids.push(pod.and_then(|pod| pod.uid()));
        }
        uids
    }

    /// Waits until the object is gone.
    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: DeserializeOwned + Clone + Debug + Send + 'static,
    {
        Watching::<K>::begin(self.api(), name).await.gone().await;
    }
}

/// An operator that looks often, and takes little time for sure.
fn quick() -> OperatorConfig {
    let (soon, empty) = (Duration::from_millis(20), Duration::from_millis(60));
    OperatorConfig { pace: Pace { soon, empty, ..Pace::default() }, ..OperatorConfig::default() }
}

/// Asks again and again until the answer is good; fails with the last one after a while.
pub async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(last) if tokio::time::Instant::now() > deadline => panic!("{what} never came: {last}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Whether the cluster is ready and its status speaks of its present spec.
pub fn is_ready(cluster: &KafkaCluster) -> bool {
    cluster.status.as_ref().is_some_and(|status| {
        status.observed_generation == cluster.metadata.generation
            && conditions::is_true(&status.conditions, ConditionType::Ready)
    })
}

/// Whether the topic is ready and its status speaks of its present spec.
pub fn is_topic_ready(topic: &KafkaTopic) -> bool {
    topic.status.as_ref().is_some_and(|status| {
        status.observed_generation == topic.metadata.generation
            && conditions::is_true(&status.conditions, ConditionType::Ready)
    })
}

/// The reason and message of `Stalled`, if it is true.
pub fn stalled(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> Option<(String, String)> {
    let stalled = conditions::find(conditions, ConditionType::Stalled).filter(|entry| entry.status == "True")?;
    Some((stalled.reason.clone(), stalled.message.clone()))
}

async fn install_definitions(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for manifest in manifest::all() {
        let name = manifest.definition.name_any();
        api.create(&PostParams::default(), &manifest.definition).await.unwrap();
        eventually(&name, async || {
            let stored = api.get(&name).await.unwrap();
            let conditions = stored.status.and_then(|status| status.conditions).unwrap_or_default();
            let established = conditions.iter().any(|entry| entry.type_ == "Established" && entry.status == "True");
            if established { Ok(()) } else { Err(format!("{conditions:?}")) }
        })
        .await;
    }
}

/// Stands in for the nodes: every pod gets an address and is ready, unless its image is called `broken`.
async fn make_pods_ready(client: Client, shutdown: CancellationToken) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    while !shutdown.is_cancelled() {
        for pod in pods.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default() {
            let name = pod.name_any();
            if pod.metadata.deletion_timestamp.is_some() {
                let now = kube::api::DeleteParams { grace_period_seconds: Some(0), ..Default::default() };
                let _ = pods.delete(&name, &now).await;
            } else if pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).is_none() {
                let status = json!({"status": first_status(&pod)});
                let _ = pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
            }
        }
        bind_claims(&client).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Gives claims their disks, as large as they ask; one that was said to be lost stays so.
pub async fn bind_claims(client: &Client) {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
    for claim in claims.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default() {
        let status = claim.status.clone().unwrap_or_default();
        let asked = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.clone());
        if status.phase.as_deref() != Some("Lost") && status.capacity != asked {
            let status = json!({"status": {"phase": "Bound", "capacity": asked}});
            let _ = claims.patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(status)).await;
        }
    }
}

fn first_status(pod: &Pod) -> serde_json::Value {
    let name = pod.name_any();
    let address = format!("10.0.0.{}", name.rsplit('-').next().unwrap().parse::<u8>().unwrap() + 1);
    let image = pod.spec.as_ref().unwrap().containers[0].image.as_deref();
    if image == Some("broken") {
        let container = json!({"name": "broker", "image": "broken", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}});
        let ready = json!({"type": "Ready", "status": "False"});
        return json!({"podIP": address, "phase": "Pending", "conditions": [ready], "containerStatuses": [container]});
    }
    json!({"podIP": address, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
}
