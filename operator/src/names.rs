//! Names, labels and annotations of everything the operator makes: deterministic, so that a pass finds what an earlier
//! one made.

use std::collections::BTreeMap;

/// Who writes, for server-side apply.
pub const FIELD_MANAGER: &str = "ottla-operator";
/// On a KafkaCluster: the id in Kafka, written before anything is made.
pub const CLUSTER_ID: &str = "ottla.io/cluster-id";
/// On a KafkaCluster: its brokers served once, so no broker may ever found the cluster again.
pub const FOUNDED: &str = "ottla.io/founded";
/// On a KafkaCluster: which lost broker is being replaced, and what of it goes.
pub const REPAIR: &str = "ottla.io/repair";
/// On a KafkaCluster: the change of its number of brokers that is under way.
pub const SCALING: &str = "ottla.io/scaling";
/// On a kept claim: the disks that the cluster has retired, so that a broker that comes back on it begins with an empty
/// one.
pub const RETIRED: &str = "ottla.io/retired-directories";
/// On every child: the fingerprint of what was applied.
pub const APPLIED: &str = "ottla.io/applied";
/// On broker pods: the fingerprint of all that needs a restart.
pub const TEMPLATE: &str = "ottla.io/template";
/// Label of the Services of one listener that is reached from outside: its name.
pub const LISTENER: &str = "ottla.io/listener";
/// On a KafkaTopic: held until its topic is deleted, or is not ours to delete.
pub const TOPIC_FINALIZER: &str = "ottla.io/topic";

const APP: &str = "ottla";

/// The names of one cluster's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// metadata.name of the KafkaCluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
}

impl Names {
    /// Names for the cluster `cluster` in `namespace`.
    pub fn new(cluster: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self { cluster: cluster.into(), namespace: namespace.into() }
    }

    /// The StatefulSet and the ServiceAccount of the brokers.
    pub fn brokers(&self) -> String {
        format!("{}-broker", self.cluster)
    }

    /// The headless Service that gives each broker its name.
    pub fn headless_service(&self) -> String {
        format!("{}-brokers", self.cluster)
    }

    /// The Service clients start from.
    pub fn bootstrap_service(&self) -> String {
        format!("{}-bootstrap", self.cluster)
    }

    /// The Service clients outside start from, on the listener called `listener`.
    pub fn listener_bootstrap(&self, listener: &str) -> String {
        format!("{}-{listener}", self.bootstrap_service())
    }

    /// The Service by which clients outside reach the broker with that id, on the listener called `listener`.
    pub fn listener_service(&self, listener: &str, id: i32) -> String {
        format!("{}-{listener}", self.pod(id))
    }

    /// The ConfigMap of the brokers' properties.
    pub fn config(&self) -> String {
        format!("{}-config", self.cluster)
    }

    /// The Secret with the token of the CONTROLLER listener.
    pub fn controller_token(&self) -> String {
        format!("{}-controller-token", self.cluster)
    }

    /// The pod of the broker with that id.
    pub fn pod(&self, id: i32) -> String {
        format!("{}-{id}", self.brokers())
    }

    /// The claim of that broker's disk called `volume`.
    pub fn claim(&self, volume: &str, id: i32) -> String {
        format!("{volume}-{}", self.pod(id))
    }

    /// The key of that broker's file in the ConfigMap.
    pub fn properties_file(&self, id: i32) -> String {
        format!("{}.properties", self.pod(id))
    }

    /// The DNS name of the pod called `pod`, which may be a reference such as `$(POD_NAME)`.
    pub fn host_of(&self, pod: &str) -> String {
        format!("{pod}.{}.{}.svc", self.headless_service(), self.namespace)
    }

    /// The DNS name of the bootstrap Service.
    pub fn bootstrap_host(&self) -> String {
        format!("{}.{}.svc", self.bootstrap_service(), self.namespace)
    }

    /// The broker id of the pod called `pod`, if it is one of this cluster's.
    pub fn broker_of(&self, pod: &str) -> Option<i32> {
        let ordinal = pod.strip_prefix(&self.brokers())?.strip_prefix('-')?;
        let id = ordinal.parse().ok().filter(|id| *id >= 0)?;
        (self.pod(id) == pod).then_some(id)
    }

    /// The broker id of the claim called `claim`, if its name is that of a volume of one of this cluster's brokers.
    pub fn broker_of_claim(&self, claim: &str) -> Option<i32> {
        let pod = claim.rfind(&format!("-{}-", self.brokers()))? + 1;
        self.broker_of(&claim[pod..])
    }

    /// The labels that pick the brokers' pods and claims; these never change.
    pub fn selector(&self) -> BTreeMap<String, String> {
        [("app.kubernetes.io/name", APP), ("app.kubernetes.io/component", "broker")]
            .into_iter()
            .chain([("app.kubernetes.io/instance", self.cluster.as_str())])
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// [`selector`](Self::selector) as the API takes it.
    pub fn selector_text(&self) -> String {
        let pairs: Vec<String> = self.selector().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(",")
    }

    /// The labels of everything the operator makes for the cluster.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.insert("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned());
        labels.insert("app.kubernetes.io/part-of".to_owned(), APP.to_owned());
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_of_ours_gives_its_broker_id_and_others_none() {
        let names = Names::new("demo", "default");
        assert_eq!(names.broker_of("demo-broker-0"), Some(0));
        assert_eq!(names.broker_of("demo-broker-12"), Some(12));
        for other in ["demo-broker-", "demo-broker-01", "demo-broker--1", "demo-brokers-0", "other-broker-0", "demo"] {
            assert_eq!(names.broker_of(other), None, "{other}");
        }
        assert_eq!(names.broker_of_claim("data-demo-broker-4"), Some(4));
        assert_eq!(names.broker_of_claim("fast-disk-demo-broker-0"), Some(0));
        for other in ["demo-broker-4", "data-other-broker-4", "data-demo-broker-x"] {
            assert_eq!(names.broker_of_claim(other), None, "{other}");
        }
    }
}
