//! The disks of a broker.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The disks of each broker, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// One claim a broker for each; several are used side by side, as Kafka's `log.dirs`.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub volumes: Vec<Volume>,

    /// Which claims are kept when the brokers that use them go.
    #[serde(default)]
    pub retain: RetainClaims,
}

/// One disk of each broker.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// A short name of lower-case letters, digits and '-'.
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("!(self in ['config', 'secrets'])")
        .message("the names 'config' and 'secrets' belong to volumes that every broker has"))]
    pub name: String,

    /// Its size, such as `10Gi`. Can grow, not shrink.
    // That it does not shrink is not said here: a size that Kubernetes refuses to grow to has to be taken back.
    #[x_kube(
        validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))")
            .message("size must be an amount of bytes above zero, such as 10Gi")
    )]
    #[schemars(length(min = 1, max = 32))]
    pub size: String,

    /// The StorageClass it is made by. Left out: the default one. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the storage class of a volume cannot change"))]
    pub storage_class_name: Option<String>,
}

/// Which claims are kept when the brokers that use them go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetainClaims {
    /// Kept when the KafkaCluster is deleted; deleted when brokers are scaled in.
    WhenDeleted,
    /// Kept when brokers are scaled in; deleted with the KafkaCluster.
    WhenScaled,
    /// Always kept.
    #[default]
    Always,
    /// Never kept.
    Never,
}
