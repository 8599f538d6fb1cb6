//! Which topic of which cluster a KafkaTopic stands for.

use kube::core::ObjectMeta;
use ottla_crds::KafkaTopic;

/// A topic of a cluster, borrowed from the object that claims it. An object never changes its claim: its cluster and its
/// topic's name cannot change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim<'a> {
    /// The namespace of the object and of the cluster.
    pub namespace: &'a str,
    /// The cluster's name.
    pub cluster: &'a str,
    /// The topic's name in Kafka; empty of an object that has no name yet.
    pub topic: &'a str,
}

impl<'a> Claim<'a> {
    /// What `topic` stands for.
    pub fn of(topic: &'a KafkaTopic) -> Self {
        let spec = &topic.spec;
        Self::made_by(&topic.metadata, &spec.cluster_ref.name, spec.topic_name.as_deref())
    }

    /// What an object with this metadata stands for, whose spec names this cluster and perhaps this topic.
    pub fn made_by(metadata: &'a ObjectMeta, cluster: &'a str, topic_name: Option<&'a str>) -> Self {
        Self {
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            cluster,
            topic: topic_name.or(metadata.name.as_deref()).unwrap_or_default(),
        }
    }
}
