//! `KafkaTopic`: one topic of one cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ConfigMapSpec;

/// The topic that is wanted. What the spec does not mention is left as it is on the cluster.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "ottla.io",
    version = "v1alpha1",
    kind = "KafkaTopic",
    namespaced,
    status = "KafkaTopicStatus",
    derive = "PartialEq",
    shortname = "okt",
    category = "ottla",
    doc = "A topic of a KafkaCluster: the operator creates it, grows it and keeps its settings as written here.",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterRef.name"),
    printcolumn(name = "Partitions", type_ = "integer", json_path = ".status.partitions"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("has(self.spec.topicName) || size(self.metadata.name) <= 249")
        .message("a topic's name has at most 249 characters: set spec.topicName or choose a shorter metadata.name")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "has(self.topicName) == has(oldSelf.topicName) && \
         (!has(self.topicName) || self.topicName == oldSelf.topicName)"
    )
    .message("topicName cannot change: Kafka has no rename. Create another KafkaTopic with the new name"),
    validation = Rule::new(
        "!has(self.partitions) || !has(oldSelf.partitions) || self.partitions >= oldSelf.partitions"
    )
    .message("partitions can only grow: Kafka cannot remove partitions without losing their records")
    .field_path(".partitions")
)]
pub struct KafkaTopicSpec {
    /// The KafkaCluster, in the same namespace, that holds the topic. Cannot be changed.
    #[x_kube(validation = Rule::new("self.name == oldSelf.name")
        .message("clusterRef cannot change: a topic does not move between clusters. Create another KafkaTopic"))]
    pub cluster_ref: ClusterRef,

    /// The topic's name in Kafka, for names that Kubernetes does not allow (capitals, underscores).
    /// Defaults to metadata.name. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    #[x_kube(
        validation = Rule::new("self != '.' && self != '..'").message("a topic cannot be named '.' or '..'"),
        validation = Rule::new(
            "!(self in ['__consumer_offsets', '__transaction_state', '__share_group_state', '__cluster_metadata'])"
        )
        .message("this topic belongs to the brokers: its settings are the cluster's (spec.config of the KafkaCluster)")
    )]
    pub topic_name: Option<String>,

    /// How many partitions the topic has. Can only grow. Left out: the cluster's `num.partitions` for a new topic,
    /// and whatever it has for one that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub partitions: Option<i32>,

    /// How many brokers hold each partition: no more than there are. A change moves replicas while clients go on, as
    /// spec.rebalance of the KafkaCluster bounds it. Left out: the cluster's `default.replication.factor` for a new topic,
    /// and whatever it has for one that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub replicas: Option<i32>,

    /// The topic's settings by Kafka's names, such as `retention.ms` or `cleanup.policy`. A key that is taken out of
    /// here goes back to its default; keys that were never here are left alone.
    #[serde(default, skip_serializing_if = "ConfigMapSpec::is_empty")]
    #[schemars(extend("maxProperties" = 128))]
    pub config: ConfigMapSpec,

    /// What happens to the topic, and the records in it, when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// Stop working on this topic until it is false again. Deletion then leaves the topic where it is.
    #[serde(default)]
    pub paused: bool,
}

/// Names a KafkaCluster of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterRef {
    /// metadata.name of the KafkaCluster.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
}

/// What deleting the object does to the topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The topic and its records are deleted with the object.
    #[default]
    Delete,
    /// The topic stays on the cluster; a later KafkaTopic of the same shape takes it over.
    Retain,
}

/// What the topic is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The topic's name in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,

    /// The topic's id in Kafka. It changes only when the topic is deleted and made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,

    /// How many partitions it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,

    /// How many replicas its partitions have now (the least, while they differ).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// How many partitions have fewer in-sync replicas than replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_replicated: Option<i32>,

    /// How many partitions are being moved to other brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<i32>,

    /// The settings that the operator set from the spec, so that one taken out of the spec is known to be reset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub managed_config: Vec<String>,

    /// Ready, Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
