//! A KafkaTopic as the cache holds it: only what the rules about other topics read, since there may be many.
//!
//! Good for waking passes and for finding rivals; a pass reads its own topic live.

use std::{borrow::Cow, sync::Arc};

use kube::{Resource, core::ObjectMeta};
use ottla_crds::{DeletionPolicy, KafkaTopic};
use serde::{Deserialize, Deserializer};

use super::claim::Claim;

/// What wakes passes, whom it stands for, and what rivals go by. Clones share it.
#[derive(Clone, Debug)]
pub struct CachedTopic(Arc<Kept>);

#[derive(Clone, Debug)]
struct Kept {
    metadata: ObjectMeta,
    cluster: String,
    topic_name: Option<String>,
    deletion_policy: DeletionPolicy,
}

impl CachedTopic {
    /// The topic that the object stands for.
    pub fn claim(&self) -> Claim<'_> {
        Claim::made_by(&self.0.metadata, &self.0.cluster, self.0.topic_name.as_deref())
    }

    /// What happens to the topic when the object is deleted.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        self.0.deletion_policy
    }

    /// The same without the version, which only the watch that told of it goes by.
    pub fn forget_version(&mut self) {
        self.meta_mut().resource_version = None;
    }
}

impl From<KafkaTopic> for CachedTopic {
    fn from(topic: KafkaTopic) -> Self {
        let KafkaTopic { metadata: whole, spec, .. } = topic;
        let metadata = ObjectMeta {
            name: whole.name,
            namespace: whole.namespace,
            uid: whole.uid,
            resource_version: whole.resource_version,
            generation: whole.generation,
            creation_timestamp: whole.creation_timestamp,
            deletion_timestamp: whole.deletion_timestamp,
            finalizers: whole.finalizers,
            ..ObjectMeta::default()
        };
        let (cluster, topic_name, deletion_policy) = (spec.cluster_ref.name, spec.topic_name, spec.deletion_policy);
        Self(Arc::new(Kept { metadata, cluster, topic_name, deletion_policy }))
    }
}

impl<'de> Deserialize<'de> for CachedTopic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        KafkaTopic::deserialize(deserializer).map(Self::from)
    }
}

impl Resource for CachedTopic {
    type DynamicType = ();
    type Scope = <KafkaTopic as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        KafkaTopic::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        KafkaTopic::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        KafkaTopic::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        KafkaTopic::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.0.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut Arc::make_mut(&mut self.0).metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::{ResourceExt, runtime::reflector::ObjectRef};

    use super::*;

    #[test]
    fn what_nobody_asks_of_a_cache_is_not_kept() {
        let text = r#"{
            "apiVersion": "ottla.io/v1alpha1", "kind": "KafkaTopic",
            "metadata": {
                "name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
                "managedFields": [{"manager": "kubectl"}], "labels": {"team": "data"}, "finalizers": ["x"],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
            },
            "spec": {
                "clusterRef": {"name": "demo"}, "topicName": "Orders", "partitions": 3, "deletionPolicy": "Retain",
                "config": {"retention.ms": "1"}
            },
            "status": {"topicName": "Orders"}
        }"#;
        let mut topic: CachedTopic = serde_json::from_str(text).unwrap();
        let dropped = (topic.managed_fields().len(), topic.labels().len(), topic.annotations().len());
        assert_eq!(dropped, (0, 0, 0));
        assert_eq!(topic.claim(), Claim { namespace: "shop", cluster: "demo", topic: "Orders" });
        assert_eq!(
            (topic.name_any(), topic.uid(), topic.meta().generation),
            ("orders".into(), Some("u".into()), Some(2))
        );
        assert_eq!((topic.finalizers(), topic.deletion_policy()), (&["x".to_owned()][..], DeletionPolicy::Retain));
        assert_eq!(topic.resource_version().as_deref(), Some("7"), "a watch goes on from it");
        topic.forget_version();
        assert_eq!(topic.resource_version(), None);
        assert_eq!(CachedTopic::api_version(&()), KafkaTopic::api_version(&()));
        assert_eq!(ObjectRef::from_obj(&topic).name, "orders");
    }
}
