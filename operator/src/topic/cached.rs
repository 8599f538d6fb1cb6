//! A KafkaTopic as the cache holds it: without what only its writers and its readers need, since there may be many.
//!
//! Good for waking passes and for finding rivals; a pass reads its own topic live.

use std::{borrow::Cow, ops::Deref, sync::Arc};

use kube::{
    Resource,
    core::ObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};
use ottla_crds::KafkaTopic;
use serde::{Deserialize, Deserializer};

/// Where `kubectl apply` keeps a second copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A KafkaTopic without status, settings and the fields of its managers. Clones share it.
#[derive(Clone, Debug)]
pub struct CachedTopic(Arc<KafkaTopic>);

impl From<KafkaTopic> for CachedTopic {
    fn from(mut topic: KafkaTopic) -> Self {
        topic.metadata.managed_fields = None;
        topic.metadata.annotations.iter_mut().for_each(|annotations| drop(annotations.remove(LAST_APPLIED)));
        topic.spec.config.clear();
        topic.status = None;
        Self(Arc::new(topic))
    }
}

impl<'de> Deserialize<'de> for CachedTopic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        KafkaTopic::deserialize(deserializer).map(Self::from)
    }
}

impl Deref for CachedTopic {
    type Target = KafkaTopic;

    fn deref(&self) -> &KafkaTopic {
        &self.0
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
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        Arc::make_mut(&mut self.0).meta_mut()
    }
}

/// The KafkaTopics in `topics` for which `belongs` holds.
pub fn references(topics: &Store<CachedTopic>, belongs: impl Fn(&KafkaTopic) -> bool) -> Vec<ObjectRef<CachedTopic>> {
    topics.state().iter().filter(|topic| belongs(topic)).map(|topic| ObjectRef::from_obj(&**topic)).collect()
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;

    use super::*;

    #[test]
    fn what_nobody_asks_of_a_cache_is_not_kept() {
        let text = r#"{
            "apiVersion": "ottla.io/v1alpha1", "kind": "KafkaTopic",
            "metadata": {
                "name": "orders", "namespace": "shop", "uid": "u", "managedFields": [{"manager": "kubectl"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "data"}
            },
            "spec": {"clusterRef": {"name": "demo"}, "partitions": 3, "config": {"retention.ms": "1"}},
            "status": {"topicName": "orders"}
        }"#;
        let topic: CachedTopic = serde_json::from_str(text).unwrap();
        assert_eq!((topic.managed_fields().len(), topic.annotations().len()), (0, 1));
        assert!(topic.status.is_none() && topic.spec.config.is_empty());
        assert_eq!((topic.name_any().as_str(), topic.spec.cluster_ref.name.as_str()), ("orders", "demo"));
        assert_eq!(CachedTopic::api_version(&()), KafkaTopic::api_version(&()));
    }
}
