//! Everything one pass knows: read live, so that no decision rests on a cache that lags.
//!
//! Only reads. What cannot be read fails the pass; only brokers that do not answer are a finding, not a failure.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};
use ottla_core::ids::BrokerId;
use ottla_crds::{KafkaCluster, KafkaClusterSpec, cluster::ListenerType};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    build::TOKEN_FILE,
    disks, disruption,
    nodes::{self, Nodes},
    pods, reach,
    remainder::{self, Left},
    scaling::Scaling,
};
use crate::{
    balance::disks::Disks,
    child::Child,
    context::Context,
    error::{Error, Result},
    kafka::{
        self, Bootstrap, BrokerView, ClusterAdmin, ConfigOf, Control, OwnConfig, PartitionHealth, QuorumView, Token,
        TopicPlacement,
    },
    names::{FOUNDED, LISTENER, Names, SCALING},
    wishes::AskedReplicas,
};

/// What there is of one cluster.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource as it is stored now.
    pub cluster: KafkaCluster,
    /// The names of its objects.
    pub names: Names,
    /// Its uid, which its children point to.
    pub uid: String,
    /// The objects that bear the names of its children, whoever owns them.
    pub children: Children,
    /// The pods of its brokers.
    pub pods: Vec<Pod>,
    /// The claims of its brokers, also those that an earlier cluster of this name left.
    pub claims: Vec<PersistentVolumeClaim>,
    /// What its brokers say.
    pub kafka: Kafka,
    /// What lies on which disk of the brokers that have several.
    pub disks: Vec<Disks>,
    /// What is known of the nodes of brokers that do not serve.
    pub nodes: Nodes,
    /// When all this was so.
    pub now: Timestamp,
    /// Brokers that have been seen to hold nothing for a while.
    pub surely_empty: BTreeSet<BrokerId>,
    /// What brokers have still to give away or to get, of those that have.
    pub left: BTreeMap<BrokerId, Left>,
    /// How many replicas KafkaTopics ask for, where it is another number than there is.
    pub asked_replicas: AskedReplicas,
    /// Brokers of those asked about that could not be spared now.
    pub unsparable: BTreeSet<BrokerId>,
}

/// Stored objects by kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Children(BTreeMap<(String, String), Value>);

/// What the brokers say.
#[derive(Clone, Debug, PartialEq)]
pub enum Kafka {
    /// None of them is ready to be asked.
    NotAsked,
    /// They did not answer.
    Failed(kafka::Error),
    /// What one of them answered.
    Seen {
        /// What was set for all brokers while they run.
        config: OwnConfig,
        /// What the active controller says, which may be missing for a moment while brokers serve.
        controller: Result<Controller, NoController>,
    },
}

/// What is known while brokers serve and the active controller does not answer.
#[derive(Clone, Debug, PartialEq)]
pub struct NoController {
    /// Why it does not.
    pub error: kafka::Error,
    /// How many partitions have no leader, as one of the brokers counts them.
    pub leaderless: u32,
}

/// What only the active controller says.
#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    /// Every registered broker.
    pub brokers: Vec<BrokerView>,
    /// Counts over all partitions.
    pub health: PartitionHealth,
    /// Where every partition lies.
    pub placements: Vec<TopicPlacement>,
    /// Who votes.
    pub quorum: QuorumView,
}

impl Observed {
    /// What is wanted.
    pub fn spec(&self) -> &KafkaClusterSpec {
        &self.cluster.spec
    }

    /// Whether its brokers served once.
    pub fn is_founded(&self) -> bool {
        self.cluster.annotations().contains_key(FOUNDED)
    }

    /// What the active controller says, if it could be asked.
    pub fn controller(&self) -> Option<&Controller> {
        match &self.kafka {
            Kafka::Seen { controller, .. } => controller.as_ref().ok(),
            Kafka::NotAsked | Kafka::Failed(_) => None,
        }
    }

    /// Every broker that is registered, as far as the active controller could be asked.
    pub fn registered(&self) -> impl Iterator<Item = &BrokerView> {
        self.controller().into_iter().flat_map(|controller| &controller.brokers)
    }

    /// Every topic and where its partitions lie, as far as the active controller could be asked.
    pub fn placements(&self) -> impl Iterator<Item = &TopicPlacement> {
        self.controller().into_iter().flat_map(|controller| &controller.placements)
    }

    /// The ids of the brokers that the StatefulSet makes.
    pub fn broker_ids(&self) -> std::ops::Range<i32> {
        0..self.stateful_set().and_then(|stateful_set| stateful_set.spec.replicas).unwrap_or(0)
    }

    /// The pod of broker `id`.
    pub fn pod_of(&self, id: i32) -> Option<&Pod> {
        self.pods.iter().find(|pod| self.names.broker_of(&pod.name_any()) == Some(id))
    }

    /// The claim called `name`, if it is one of this cluster's.
    pub fn claim(&self, name: &str) -> Option<&PersistentVolumeClaim> {
        self.claims.iter().find(|claim| claim.name_any() == name)
    }

    /// The change of the number of brokers that is under way.
    pub fn scaling(&self) -> Option<Scaling> {
        Scaling::read(self.cluster.annotations().get(SCALING)?)
    }

    /// Whether the active controller says that `broker` holds nothing and is to get nothing.
    pub fn is_empty(&self, broker: BrokerId) -> bool {
        let is_empty = |controller: &Controller| is_empty(broker, &controller.brokers, &controller.placements);
        self.controller().is_some_and(is_empty)
    }

    /// Where the cluster is reached; `None` while none of its brokers serves.
    pub fn bootstrap(&self) -> Option<Bootstrap> {
        let brokers = pods::addresses(&self.cluster, &self.pods);
        if brokers.is_empty() {
            return None;
        }
        let addresses = pods::control_addresses(&self.pods);
        let control = self.token().map(|token| Control { addresses, token });
        Some(Bootstrap { brokers, control })
    }

    /// The secret of the CONTROLLER listeners.
    fn token(&self) -> Option<Token> {
        let secret: Secret = self.children.typed(&self.names.controller_token())?;
        let data = secret.data?;
        Some(Token::new(std::str::from_utf8(&data.get(TOKEN_FILE)?.0).ok()?))
    }

    /// The StatefulSet of the brokers, if it is there and can be read.
    pub fn stateful_set(&self) -> Option<StatefulSet> {
        self.children.typed(&self.names.brokers())
    }
}

/// Whether no count and no partition says that `broker` holds anything, or is to.
pub fn is_empty(broker: BrokerId, brokers: &[BrokerView], placements: &[TopicPlacement]) -> bool {
    let mut partitions = placements.iter().flat_map(|topic| &topic.partitions);
    let mut brokers = brokers.iter().filter(|one| one.id == broker);
    brokers.all(|one| one.replicas == 0 && one.leaders == 0) && !partitions.any(|partition| partition.involves(broker))
}

impl Children {
    /// Adds a stored object.
    pub fn insert(&mut self, kind: &str, name: &str, body: Value) {
        self.0.insert((kind.to_owned(), name.to_owned()), body);
    }

    /// Takes a stored object away.
    #[cfg(test)]
    pub fn remove(&mut self, kind: &str, name: &str) {
        self.0.remove(&(kind.to_owned(), name.to_owned()));
    }

    /// The stored object that has the child's kind and name.
    pub fn of(&self, child: &Child) -> Option<&Value> {
        self.0.get(&(child.resource.kind.clone(), child.name.clone()))
    }

    /// The stored object of that type and name.
    pub fn typed<K: Resource<DynamicType = ()> + DeserializeOwned>(&self, name: &str) -> Option<K> {
        let body = self.0.get(&(K::kind(&()).into_owned(), name.to_owned()))?;
        serde_json::from_value(body.clone()).ok()
    }

    /// Each with its kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.0.iter().map(|((kind, name), body)| (kind.as_str(), name.as_str(), body))
    }
}

/// Reads everything about `cluster`; `None` if it is gone by now.
pub async fn observe(cluster: &KafkaCluster, context: &Context) -> Result<Option<Observed>> {
    let name = cluster.name_any();
    let namespace = cluster.namespace().ok_or(Error::Incomplete { kind: "KafkaCluster", field: "a namespace" })?;
    let api: Api<KafkaCluster> = Api::namespaced(context.client.clone(), &namespace);
    let Some(cluster) = api.get_opt(&name).await.map_err(Error::kubernetes("read the KafkaCluster"))? else {
        return Ok(None);
    };
    let uid = cluster.uid().ok_or(Error::Incomplete { kind: "KafkaCluster", field: "a uid" })?;
    let asked_replicas = context.wishes.of(&namespace, &name);
    let names = Names::new(name, namespace);
    let (children, pods, claims) = futures::try_join!(
        children(&context.client, &names),
        list::<Pod>(&context.client, &names, "list the brokers' pods"),
        list::<PersistentVolumeClaim>(&context.client, &names, "list the brokers' claims"),
    )?;
    let mut nodes = nodes::look(&context.client, &pods, &claims).await?;
    if cluster.spec.listeners.iter().any(|listener| listener.type_ == ListenerType::NodePort) {
        nodes::look_for_addresses(&context.client, &pods, &mut nodes).await?;
    }
    let mut observed = Observed {
        cluster,
        names,
        uid,
        children,
        pods,
        claims,
        kafka: Kafka::NotAsked,
        disks: Vec::new(),
        nodes,
        now: Timestamp::now(),
        surely_empty: BTreeSet::new(),
        left: BTreeMap::new(),
        asked_replicas,
        unsparable: BTreeSet::new(),
    };
    for child in outside(&context.client, &observed).await? {
        observed.children.insert("Service", &child.name_any(), serde_json::to_value(&child)?);
    }
    if let Some(bootstrap) = observed.bootstrap() {
        let admin = context.connector.connect(&bootstrap);
        observed.kafka = ask_brokers(&*admin).await;
        if let Some(controller) = observed.controller() {
            observed.unsparable = disruption::unsparable(controller, &*admin).await;
        }
    }
    observed.disks = disks::look(&observed, context).await;
    observed.surely_empty = watch_over_leaving(&observed, context);
    let bytes = remainder::bytes_left(&observed);
    let times = context.progress.note(&observed.uid, &bytes, Instant::now());
    let left = |(broker, bytes)| (broker, Left { bytes, time: times.get(&broker).copied() });
    observed.left = bytes.into_iter().map(left).collect();
    Ok(Some(observed))
}

/// The brokers beyond those that are wanted that have been empty for a while.
fn watch_over_leaving(observed: &Observed, context: &Context) -> BTreeSet<BrokerId> {
    if observed.controller().is_none() {
        context.vigil.interrupt(&observed.uid);
        return BTreeSet::new();
    }
    let pods = observed.pods.iter().filter_map(|pod| observed.names.broker_of(&pod.name_any()));
    let wanted = observed.spec().brokers;
    let made = observed.stateful_set().and_then(|stateful_set| stateful_set.spec.replicas).unwrap_or(wanted);
    let beyond = pods.chain(wanted..made).filter(|id| *id >= wanted).map(BrokerId);
    let empty: BTreeSet<BrokerId> = beyond.filter(|broker| observed.is_empty(*broker)).collect();
    context.vigil.note(&observed.uid, &empty, Instant::now(), context.config.pace.empty)
}

async fn children(client: &Client, names: &Names) -> Result<Children> {
    let wanted = [
        (ApiResource::erase::<ServiceAccount>(&()), names.brokers()),
        (ApiResource::erase::<Secret>(&()), names.controller_token()),
        (ApiResource::erase::<ConfigMap>(&()), names.config()),
        (ApiResource::erase::<Service>(&()), names.headless_service()),
        (ApiResource::erase::<Service>(&()), names.bootstrap_service()),
        (ApiResource::erase::<NetworkPolicy>(&()), names.brokers()),
        (ApiResource::erase::<PodDisruptionBudget>(&()), names.brokers()),
        (ApiResource::erase::<StatefulSet>(&()), names.brokers()),
    ];
    let reads = wanted.into_iter().map(async |(resource, name)| {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &names.namespace, &resource);
        let doing = format!("read {} {name}", resource.kind);
        let found = api.get_opt(&name).await.map_err(Error::kubernetes(doing))?;
        let body = found.map(|object| serde_json::to_value(&object)).transpose()?;
        Ok::<_, Error>((resource.kind, name, body))
    });
    let mut children = Children::default();
    for (kind, name, body) in try_join_all(reads).await? {
        if let Some(body) = body {
            children.insert(&kind, &name, body);
        }
    }
    Ok(children)
}

/// The Services by which the brokers are reached from outside, and those that are ours and no longer wanted.
async fn outside(client: &Client, observed: &Observed) -> Result<Vec<Service>> {
    let names = &observed.names;
    let api: Api<Service> = Api::namespaced(client.clone(), &names.namespace);
    let ours = ListParams::default().labels(&format!("{},{LISTENER}", names.selector_text()));
    let mut found = api.list(&ours).await.map_err(Error::kubernetes("list the listeners' Services"))?.items;
    // One of a name of ours and without our labels is somebody else's, and must be seen too.
    for name in reach::service_names(observed, observed.spec().brokers) {
        if !found.iter().any(|service| service.name_any() == name) {
            let doing = format!("read Service {name}");
            found.extend(api.get_opt(&name).await.map_err(Error::kubernetes(doing))?);
        }
    }
    Ok(found)
}

async fn list<K>(client: &Client, names: &Names, doing: &str) -> Result<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &names.namespace);
    let selector = ListParams::default().labels(&names.selector_text());
    Ok(api.list(&selector).await.map_err(Error::kubernetes(doing))?.items)
}

async fn ask_brokers(admin: &dyn ClusterAdmin) -> Kafka {
    // The counts last: what the placements show is not older.
    let controller = async {
        let (placements, quorum) = futures::try_join!(admin.placements(), admin.quorum())?;
        let (brokers, health) = futures::try_join!(admin.brokers(), admin.partition_health())?;
        Ok(Controller { brokers, health, placements, quorum })
    };
    let (config, controller) = futures::join!(admin.own_config(&ConfigOf::Cluster), controller);
    let controller = match controller {
        Ok(controller) => Ok(Ok(controller)),
        Err(error) => admin.leaderless().await.map(|leaderless| Err(NoController { error, leaderless })),
    };
    match (config, controller) {
        (Ok(config), Ok(controller)) => Kafka::Seen { config, controller },
        (Err(error), _) | (_, Err(error)) => Kafka::Failed(error),
    }
}
