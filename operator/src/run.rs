//! Starts the controllers, and stops them in order.

use std::{
    collections::HashMap,
    fmt::Debug,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{join_all, try_join_all},
};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        Controller, Predicate, PredicateConfig, WatchStreamExt,
        controller::{self, Action},
        predicates,
        reflector::{self, ObjectRef, Store, reflector},
        watcher,
    },
};
use ottla_crds::KafkaCluster;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::{
    cluster,
    config::OperatorConfig,
    context::{Context, Scope},
    election::{Election, Terms, fenced},
    error,
    http::{self, Health},
    kafka::{Connector, WireConnector},
    metrics::Metrics,
    names::FOUNDED,
    topic::{self, CachedTopic, Topics},
};

/// How many objects of a kind are looked at side by side: what bounds memory when there are very many.
const PASSES_AT_ONCE: u16 = 32;

/// How long passes under way may go on once the operator is told to stop.
const LAST_PASSES: Duration = Duration::from_secs(1);

/// Why the operator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address for metrics and probes cannot be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The endpoint for metrics and probes broke.
    #[error("the HTTP endpoint failed: {0}")]
    Http(#[source] std::io::Error),
    /// Another operator may be at work: this one has to start over.
    #[error("the lease was lost")]
    Deposed,
}

/// Runs both controllers against `client` until `shutdown` is cancelled and the passes under way are done.
///
/// # Errors
/// Fails only if its own HTTP endpoint does or its Lease is lost; whatever happens to Kubernetes or to clusters is tried again.
pub async fn run(client: Client, config: OperatorConfig, shutdown: CancellationToken) -> Result<(), Error> {
    run_with(client, config, Arc::new(WireConnector::default()), shutdown).await
}

/// [`run`], reaching clusters by `connector`.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    client: Client,
    config: OperatorConfig,
    connector: Arc<dyn Connector>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let health = Health::new(registry);
    let served = serve(&config, health.clone(), shutdown.clone());
    let election = config.lease.clone().map(|lease| {
        let me = config.instance.clone().unwrap_or_else(|| format!("operator-{}", Uuid::new_v4()));
        Election::new(client.clone(), lease, me, Terms::default())
    });
    let client = election.as_ref().map_or(client.clone(), |election| fenced(client, election.gate()));
    let context = Arc::new(Context::new(client, config.clone(), connector).with_metrics(metrics));
    let worked = async {
        // Whatever ends the work ends the endpoint too.
        let _guard = shutdown.clone().drop_guard();
        match election {
            None => {
                context.metrics.set_elected(true);
                operate(&context, &health, &shutdown).await;
            }
            Some(election) => return operate_while_elected(election, &context, &health, &shutdown).await,
        }
        Ok(())
    };
    let (worked, served) = tokio::join!(worked, served);
    info!("operator stopped");
    worked.and(served)
}

/// Waits for the Lease, works while it is held, and lets go of it in the end.
async fn operate_while_elected(
    mut election: Election,
    context: &Arc<Context>,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    // One that stands by is ready to: the update of a Deployment waits for that.
    health.set_ready();
    tokio::select! {
        () = election.win() => {}
        () = shutdown.cancelled() => {
            election.release().await;
            return Ok(());
        }
    }
    context.metrics.set_elected(true);
    let worked = tokio::select! {
        () = operate(context, health, shutdown) => Ok(()),
        // What is under way is cut off.
        () = election.hold() => Err(Error::Deposed),
    };
    context.metrics.set_elected(false);
    election.release().await;
    worked
}

/// Runs all controllers until `shutdown` is cancelled and the passes under way are done.
async fn operate(context: &Arc<Context>, health: &Health, shutdown: &CancellationToken) {
    let namespaces: Vec<Option<String>> = match &context.config.namespaces[..] {
        [] => vec![None],
        named => named.iter().cloned().map(Some).collect(),
    };
    info!(namespaces = ?context.config.namespaces, "operator started");
    let (mut clusters, mut topics, mut scopes, mut running) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for namespace in namespaces {
        let watched = Topics::default();
        let topic = topic_controller(context, namespace.as_deref(), &watched);
        let cluster = cluster_controller(context, namespace.as_deref());
        clusters.push(cluster.store());
        topics.push(topic.store());
        scopes.push(Scope { namespace, topics: watched });
        running.push(async move {
            tokio::join!(
                drive(cluster, "KafkaCluster", cluster::reconcile, context.clone(), shutdown.clone()),
                drive(topic, "KafkaTopic", topic::reconcile, context.clone(), shutdown.clone()),
            );
        });
    }
    context.remember_topics(scopes);
    let lists = first_lists(clusters, topics, health);
    let lists = async {
        tokio::select! { () = lists => {}, () = shutdown.cancelled() => {} }
    };
    tokio::join!(join_all(running), lists);
}

async fn serve(config: &OperatorConfig, health: Health, shutdown: CancellationToken) -> Result<(), Error> {
    let Some(address) = config.http_listener else {
        return Ok(());
    };
    // Without its endpoint the operator would run unseen: stop the controllers too.
    let guard = shutdown.clone().drop_guard();
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let served = http::serve(listener, health, shutdown).await.map_err(Error::Http);
    drop(guard);
    served
}

/// Ready once both kinds were listed in full.
async fn first_lists(clusters: Vec<Store<KafkaCluster>>, topics: Vec<Store<CachedTopic>>, health: &Health) {
    let (clusters, topics) = tokio::join!(
        try_join_all(clusters.iter().map(Store::wait_until_ready)),
        try_join_all(topics.iter().map(Store::wait_until_ready))
    );
    if clusters.is_ok() && topics.is_ok() {
        health.set_ready();
    }
}

fn scope<K>(context: &Context, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    }
}

fn cluster_controller(context: &Context, namespace: Option<&str>) -> Controller<KafkaCluster> {
    let ours = || watcher::Config::default().labels("app.kubernetes.io/managed-by=ottla-operator");
    // Claims are made by the StatefulSet controller, and carry the labels that never change.
    let of_brokers =
        || watcher::Config::default().labels("app.kubernetes.io/name=ottla,app.kubernetes.io/component=broker");
    let (clusters, writer) = reflector::store();
    let events = watcher(scope::<KafkaCluster>(context, namespace), watcher::Config::default());
    // A status says nothing new to whoever wrote it.
    let news = predicates::generation.combine(predicates::annotations).combine(predicates::finalizers);
    let changed = reflector(writer, events).applied_objects().predicate_filter(news, PredicateConfig::default());
    Controller::for_stream(changed, clusters)
        .reconcile_all_on(context.wishes.changes())
        .owns(scope::<StatefulSet>(context, namespace), ours())
        .owns(scope::<ConfigMap>(context, namespace), ours())
        .owns(scope::<Service>(context, namespace), ours())
        .owns(scope::<ServiceAccount>(context, namespace), ours())
        .owns(scope::<NetworkPolicy>(context, namespace), ours())
        .owns(scope::<PodDisruptionBudget>(context, namespace), ours())
        .watches(scope::<Pod>(context, namespace), ours(), |pod: Pod| cluster_of(&pod))
        .watches(scope::<PersistentVolumeClaim>(context, namespace), of_brokers(), |claim: PersistentVolumeClaim| {
            cluster_of(&claim)
        })
}

/// The cluster that a broker's pod or claim belongs to.
fn cluster_of<K: Resource>(part: &K) -> Option<ObjectRef<KafkaCluster>> {
    let cluster = part.labels().get("app.kubernetes.io/instance")?;
    Some(ObjectRef::new(cluster).within(&part.namespace()?))
}

fn topic_controller(context: &Context, namespace: Option<&str>, watched: &Topics) -> Controller<CachedTopic> {
    let (topics, writer) = reflector::store();
    let events = watcher(scope::<CachedTopic>(context, namespace), watcher::Config::default());
    let to_look_at = watched.to_look_at(reflector(writer, events.modify(CachedTopic::forget_version)));
    let (seen, watched, turns) = (ClusterStates::default(), watched.clone(), watched.in_turn(topic::LOOK_AGAIN));
    Controller::for_stream(to_look_at, topics).reconcile_on(turns).watches(
        scope::<KafkaCluster>(context, namespace),
        watcher::Config::default(),
        move |cluster: KafkaCluster| match cluster.namespace() {
            Some(namespace) if !seen.is_old_news(&cluster) => watched.of_cluster(&namespace, &cluster.name_any()),
            _ => Vec::new(),
        },
    )
}

/// What of each cluster matters to its topics, as last seen: every topic that is made changes the cluster's status, and
/// must not wake all the others.
#[derive(Default)]
struct ClusterStates(Mutex<HashMap<String, u64>>);

impl ClusterStates {
    fn is_old_news(&self, cluster: &KafkaCluster) -> bool {
        let status = cluster.status.as_ref();
        let available = status
            .and_then(|status| {
                ottla_crds::conditions::find(&status.conditions, ottla_crds::conditions::ConditionType::Available)
            })
            .map(|condition| condition.status.clone());
        let mut hasher = DefaultHasher::new();
        (available, status.map(|status| status.ready_brokers)).hash(&mut hasher);
        (cluster.uid(), cluster.metadata.deletion_timestamp.is_some()).hash(&mut hasher);
        cluster.annotations().contains_key(FOUNDED).hash(&mut hasher);
        let state = hasher.finish();
        let key = format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any());
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.insert(key, state) == Some(state)
    }
}

/// Runs a controller until `shutdown` is cancelled and its last pass is done.
async fn drive<K, Pass, PassFuture>(
    controller: Controller<K>,
    kind: &'static str,
    pass: Pass,
    context: Arc<Context>,
    shutdown: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    Pass: Fn(Arc<K>, Arc<Context>) -> PassFuture + Send + Sync + 'static,
    PassFuture: Future<Output = error::Result<Action>> + Send + 'static,
{
    let watched = move |object: Arc<K>, context: Arc<Context>| {
        let running = context.metrics.begin(kind, &*object);
        pass(object.clone(), context.clone()).inspect(move |result| {
            drop(running);
            match result {
                Ok(_) => context.backoff.succeeded(&key(&*object)),
                Err(_) => context.metrics.ended(kind, &*object, "failed"),
            }
        })
    };
    let store = controller.store();
    let stopped = shutdown.clone();
    let notes = context.clone();
    let passes = controller
        .with_config(controller::Config::default().concurrency(PASSES_AT_ONCE))
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(watched, on_error, context);
    // What failed is logged where it is tried again; what is left are watches, which are tried again too.
    let all = passes.for_each(async |result| match result {
        Err(controller::Error::ObjectNotFound(object)) => {
            notes.forget(kind, object.namespace.as_deref().unwrap_or_default(), &object.name);
        }
        Err(error) => debug!(kind, %error, "pass not done"),
        Ok(_) => {}
    });
    tokio::select! {
        () = all => {}
        () = stopped_before_the_first_pass(&store, &stopped) => {}
        // A pass may be cut off anywhere: one that waits for brokers that do not answer does not hold up the stop.
        () = async { stopped.cancelled().await; tokio::time::sleep(LAST_PASSES).await } => {}
    }
}

/// Resolves if `shutdown` is cancelled before the first list is there; then no pass was begun, and none is to be waited
/// for. A controller that waits for passes to end would wait for its first list too, for ever, since its watch is
/// stopped already.
async fn stopped_before_the_first_pass<K>(store: &Store<K>, shutdown: &CancellationToken)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    shutdown.cancelled().await;
    if store.wait_until_ready().now_or_never().is_some() {
        std::future::pending::<()>().await;
    }
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{}/{}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

/// Tries again, later each time; what failed is said once a try.
fn on_error<K: Resource<DynamicType = ()>>(object: Arc<K>, error: &error::Error, context: Arc<Context>) -> Action {
    let key = key(&*object);
    let wait = context.backoff.after_failure(&key);
    warn!(object = %key, %error, retry_in = ?wait, "pass failed");
    Action::requeue(wait)
}
