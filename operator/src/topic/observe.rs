//! Everything one pass over a topic knows: read live, so that no decision rests on a cache that lags.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use ottla_crds::{KafkaCluster, KafkaTopic};

use crate::{
    cluster,
    context::Context,
    error::{Error, Result},
    kafka::{self, Bootstrap, ConfigOf, OwnConfig, TopicView},
    names::{FOUNDED, Names},
    topic::{CachedTopic, rivals_in},
};

/// What there is of one topic.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource as it is stored now.
    pub topic: KafkaTopic,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Every other KafkaTopic that names the same topic of the same cluster.
    pub rivals: Vec<CachedTopic>,
    /// The cluster it belongs to.
    pub cluster: Cluster,
}

/// The state of a topic's cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Cluster {
    /// There is none of that name.
    Missing,
    /// It is being deleted, and its topics with it.
    Leaving,
    /// None of its brokers is ready to be asked, or not all of them have been yet.
    NotReady,
    /// Its brokers did not answer.
    Failed(kafka::Error),
    /// Its brokers answered.
    Seen {
        /// Where they were asked.
        addresses: Vec<String>,
        /// The topic and the settings of its own, if it exists.
        found: Option<(TopicView, OwnConfig)>,
    },
}

impl Observed {
    /// The topic's name in Kafka.
    pub fn topic_name(&self) -> String {
        topic_name(&self.topic)
    }

    /// Whether the object is being deleted.
    pub fn is_leaving(&self) -> bool {
        self.topic.metadata.deletion_timestamp.is_some()
    }

    /// The topic in Kafka, if it was seen.
    pub fn found(&self) -> Option<&(TopicView, OwnConfig)> {
        match &self.cluster {
            Cluster::Seen { found, .. } => found.as_ref(),
            _ => None,
        }
    }

    /// The settings that earlier specs asked for.
    pub fn managed(&self) -> Vec<String> {
        self.topic.status.as_ref().map(|status| status.managed_config.clone()).unwrap_or_default()
    }
}

/// The name in Kafka that a KafkaTopic stands for.
pub fn topic_name(topic: &KafkaTopic) -> String {
    own_name(topic).unwrap_or_default().to_owned()
}

fn own_name(topic: &KafkaTopic) -> Option<&str> {
    topic.spec.topic_name.as_deref().or(topic.metadata.name.as_deref())
}

/// Whether two objects stand for one topic of one cluster.
pub fn are_rivals(one: &KafkaTopic, other: &KafkaTopic) -> bool {
    one.metadata.uid != other.metadata.uid
        && one.metadata.namespace == other.metadata.namespace
        && one.spec.cluster_ref == other.spec.cluster_ref
        && own_name(one) == own_name(other)
}

/// Reads everything about `topic`; `None` if it is gone by now.
pub async fn observe(topic: &KafkaTopic, context: &Context) -> Result<Option<Observed>> {
    let namespace = topic.namespace().ok_or(Error::Incomplete { kind: "KafkaTopic", field: "a namespace" })?;
    let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &namespace);
    let stored = api.get_opt(&topic.name_any()).await.map_err(Error::kubernetes("read the KafkaTopic"))?;
    let Some(topic) = stored else {
        return Ok(None);
    };
    let uid = topic.uid().ok_or(Error::Incomplete { kind: "KafkaTopic", field: "a uid" })?;
    let rivals = rivals(&api, &topic, &namespace, context).await?;
    let cluster = observe_cluster(&topic, &namespace, context).await?;
    Ok(Some(Observed { topic, namespace, uid, rivals, cluster }))
}

/// From the cache, so that a thousand topics do not list each other a thousand times; but live before a deletion.
async fn rivals(
    api: &Api<KafkaTopic>,
    topic: &KafkaTopic,
    namespace: &str,
    context: &Context,
) -> Result<Vec<CachedTopic>> {
    if let Some(cache) = context.topics(namespace).filter(|_| topic.metadata.deletion_timestamp.is_none()) {
        return Ok(rivals_in(cache, topic).iter().map(|rival| CachedTopic::clone(rival)).collect());
    }
    let all = api.list(&ListParams::default()).await.map_err(Error::kubernetes("list the KafkaTopics"))?;
    Ok(all.items.into_iter().filter(|other| are_rivals(topic, other)).map(CachedTopic::from).collect())
}

async fn observe_cluster(topic: &KafkaTopic, namespace: &str, context: &Context) -> Result<Cluster> {
    let name = &topic.spec.cluster_ref.name;
    let api: Api<KafkaCluster> = Api::namespaced(context.client.clone(), namespace);
    let Some(cluster) = api.get_opt(name).await.map_err(Error::kubernetes("read the KafkaCluster"))? else {
        return Ok(Cluster::Missing);
    };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Ok(Cluster::Leaving);
    }
    // Before all of its brokers have served once, a topic that needs several of them would be refused.
    if !cluster.annotations().contains_key(FOUNDED) {
        return Ok(Cluster::NotReady);
    }
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let selector = ListParams::default().labels(&Names::new(name, namespace).selector_text());
    let pods = api.list(&selector).await.map_err(Error::kubernetes("list the brokers' pods"))?;
    let addresses = cluster::addresses(&cluster, &pods.items);
    if addresses.is_empty() {
        return Ok(Cluster::NotReady);
    }
    Ok(match ask_brokers(&topic_name(topic), &addresses, context).await {
        Ok(found) => Cluster::Seen { addresses, found },
        Err(error) => Cluster::Failed(error),
    })
}

async fn ask_brokers(
    name: &str,
    addresses: &[String],
    context: &Context,
) -> kafka::Result<Option<(TopicView, OwnConfig)>> {
    let admin = context.connector.connect(&Bootstrap::of_brokers(addresses.to_vec()));
    let Some(view) = admin.topic(name).await? else {
        return Ok(None);
    };
    let config = admin.own_config(&ConfigOf::Topic(name.to_owned())).await?;
    Ok(Some((view, config)))
}
