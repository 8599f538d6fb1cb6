//! Everything one pass over a topic knows: read live, so that no decision rests on a cache that lags.

use kube::{Api, ResourceExt};
use ottla_crds::{KafkaTopic, cluster::Mode};

use super::{CachedTopic, claim::Claim, live::Reached};
use crate::{
    context::Context,
    error::{Error, Result},
    kafka::{self, Bootstrap, ConfigOf, OwnConfig, TopicView},
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
        /// Where partitions may lie, as its spec says.
        ground: Ground,
        /// Where they were asked.
        addresses: Vec<String>,
        /// The topic, if it exists, and the settings of its own, which are read only where the spec, or an earlier one,
        /// mentions any.
        found: Option<(TopicView, OwnConfig)>,
    },
}

/// Where the partitions of a cluster may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// How many brokers there are to be.
    pub brokers: i32,
    /// Whether partitions are moved at all.
    pub moves: Mode,
}

impl Observed {
    /// The number of replicas that the spec asks for, if a partition has another one or is on its way to one.
    pub fn other_replicas(&self) -> Option<(i32, Ground)> {
        let Cluster::Seen { ground, found: Some((view, _)), .. } = &self.cluster else {
            return None;
        };
        let wanted = self.topic.spec.replicas?;
        (view.with_replicas(wanted) < view.partitions.len()).then_some((wanted, *ground))
    }

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
    Claim::of(topic).topic.to_owned()
}

/// Reads everything about `topic`; `None` if it is gone by now.
pub async fn observe(topic: &CachedTopic, context: &Context) -> Result<Option<Observed>> {
    let namespace = topic.namespace().ok_or(Error::Incomplete { kind: "KafkaTopic", field: "a namespace" })?;
    let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &namespace);
    let stored = api.get_opt(&topic.name_any()).await.map_err(Error::kubernetes("read the KafkaTopic"))?;
    let Some(topic) = stored else {
        return Ok(None);
    };
    let uid = topic.uid().ok_or(Error::Incomplete { kind: "KafkaTopic", field: "a uid" })?;
    let cluster = observe_cluster(&topic, &namespace, context).await?;
    let may_be_deleted =
        topic.metadata.deletion_timestamp.is_some() && matches!(cluster, Cluster::Seen { found: Some(_), .. });
    let rivals = rivals(&topic, &namespace, may_be_deleted, context).await?;
    Ok(Some(Observed { topic, namespace, uid, rivals, cluster }))
}

/// From what the watch told, so that a thousand topics do not list each other a thousand times; but live where the topic may
/// be deleted.
async fn rivals(
    topic: &KafkaTopic,
    namespace: &str,
    may_be_deleted: bool,
    context: &Context,
) -> Result<Vec<CachedTopic>> {
    match context.topics(namespace).filter(|_| !may_be_deleted).and_then(|topics| topics.rivals(topic)) {
        Some(rivals) => Ok(rivals),
        None => context.live.rivals(namespace, topic).await,
    }
}

async fn observe_cluster(topic: &KafkaTopic, namespace: &str, context: &Context) -> Result<Cluster> {
    let (ground, addresses) = match context.live.cluster(namespace, &topic.spec.cluster_ref.name).await? {
        Reached::Missing => return Ok(Cluster::Missing),
        Reached::Leaving => return Ok(Cluster::Leaving),
        Reached::NotReady => return Ok(Cluster::NotReady),
        Reached::At(ground, addresses) => (ground, addresses),
    };
    Ok(match ask_brokers(topic, &addresses, context).await {
        Ok(found) => Cluster::Seen { ground, addresses, found },
        Err(error) => Cluster::Failed(error),
    })
}

async fn ask_brokers(
    topic: &KafkaTopic,
    addresses: &[String],
    context: &Context,
) -> kafka::Result<Option<(TopicView, OwnConfig)>> {
    let name = topic_name(topic);
    let admin = context.connector.connect(&Bootstrap::of_brokers(addresses.to_vec()));
    let Some(view) = admin.topic(&name).await? else {
        return Ok(None);
    };
    let managed = topic.status.as_ref().map_or(&[][..], |status| status.managed_config.as_slice());
    // Settings that no spec ever mentioned are left alone, whatever they are.
    if topic.spec.config.is_empty() && managed.is_empty() {
        return Ok(Some((view, OwnConfig::new())));
    }
    let config = admin.own_config(&ConfigOf::Topic(name)).await?;
    Ok(Some((view, config)))
}
