//! `KafkaCluster`: brokers, their disks, listeners and settings.

mod listener;
mod pod;
mod status;
mod storage;

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use listener::{Advertise, Listener, ListenerAuthentication, ListenerTls, ListenerType, SaslMechanism};
pub use pod::PodTemplate;
pub use status::{BrokerState, BrokerStatus, KafkaClusterStatus, ListenerStatus, PartitionSummary};
pub use storage::{RetainClaims, Storage, Volume};

use crate::ConfigMapSpec;

/// The cluster that is wanted.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "ottla.io",
    version = "v1alpha1",
    kind = "KafkaCluster",
    namespaced,
    status = "KafkaClusterStatus",
    derive = "PartialEq",
    shortname = "okc",
    category = "ottla",
    doc = "A Kafka cluster of Ottla brokers: the operator founds it, scales it, balances it and keeps it whole.",
    scale(
        spec_replicas_path = ".spec.brokers",
        status_replicas_path = ".status.brokers",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Brokers", type_ = "integer", json_path = ".spec.brokers"),
    printcolumn(name = "Ready brokers", type_ = "integer", json_path = ".status.readyBrokers"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Under-replicated", type_ = "integer", json_path = ".status.partitions.underReplicated"),
    printcolumn(name = "Moving", type_ = "integer", json_path = ".status.partitions.moving"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("a cluster's name has at most 40 characters, because the names of its pods and Services are made of it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("a cluster's name consists of a-z, 0-9 and '-', starts with a letter and ends with a letter or digit")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.controllers) || self.controllers <= self.brokers")
        .message("controllers cannot be more than brokers: every controller is also a broker")
        .field_path(".controllers")
)]
pub struct KafkaClusterSpec {
    /// How many brokers the cluster has. Raise it to scale out: partitions move to the new brokers by themselves.
    /// Lower it to scale in: the brokers that leave are drained first.
    #[schemars(range(min = 1, max = 500))]
    pub brokers: i32,

    /// How many of the brokers with the lowest ordinals also vote on the cluster's metadata. An odd number, at most
    /// `brokers`. Left out: the largest odd number that is neither above 3 nor above `brokers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    #[x_kube(validation = Rule::new("self % 2 == 1")
        .message("controllers must be odd: an even number of voters survives no more failures than one fewer"))]
    pub controllers: Option<i32>,

    /// The broker's container image. Left out: the one of the operator's own release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Settings of all brokers by Kafka's names, such as `min.insync.replicas`. Those that brokers can change while
    /// they run are changed so; the others need a restart, which the operator does one broker at a time.
    #[serde(default, skip_serializing_if = "ConfigMapSpec::is_empty")]
    #[schemars(extend("maxProperties" = 512))]
    pub config: ConfigMapSpec,

    /// The disks of each broker.
    pub storage: Storage,

    /// Where clients connect. Left out: one listener `plain` on port 9092, inside the Kubernetes cluster. One at least is of
    /// type Internal: brokers and the operator use the first of those among themselves.
    #[serde(default = "listener::default_listeners")]
    #[schemars(length(min = 1, max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.port == a.port))")
        .message("every listener needs a port of its own"))]
    #[x_kube(validation = Rule::new("self.exists(a, a.type == 'Internal')")
        .message("one listener must be of type Internal: brokers and the operator use it among themselves"))]
    pub listeners: Vec<Listener>,

    /// Spread replicas over racks or zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<Rack>,

    /// How partitions are balanced over brokers.
    #[serde(default)]
    pub rebalance: Rebalance,

    /// How a broker is replaced whose disk or node is gone.
    #[serde(default)]
    pub repair: Repair,

    /// Memory and CPU of each broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// What the brokers' pods carry beyond what the operator gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,

    /// Stop working on this cluster until it is false again. The brokers go on serving.
    #[serde(default)]
    pub paused: bool,
}

/// Where a broker's rack is read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rack {
    /// The label of the nodes whose value is the rack, such as `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 317))]
    pub topology_key: String,
}

/// Whether the operator acts by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// The operator acts when it sees the need.
    #[default]
    Automatic,
    /// The operator only reports the need in status.
    Paused,
}

/// How partitions are balanced over brokers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// `Automatic` moves partitions when brokers come, go or are unevenly loaded; `Paused` leaves them where they are.
    #[serde(default)]
    pub mode: Mode,

    /// How many partitions move at once, at most.
    #[serde(default = "Rebalance::default_moves")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_moves: i32,

    /// Bytes a second that moves may take of each broker's network. Left out: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024))]
    pub throttle_bytes_per_second: Option<i64>,
}

impl Rebalance {
    const fn default_moves() -> i32 {
        10
    }
}

impl Default for Rebalance {
    fn default() -> Self {
        Self { mode: Mode::Automatic, max_concurrent_moves: Self::default_moves(), throttle_bytes_per_second: None }
    }
}

/// How a broker is replaced whose disk or node is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// `Automatic` gives a lost broker a new disk and lets it fill again from the others; `Paused` waits for a person.
    #[serde(default)]
    pub mode: Mode,

    /// How long a broker must be gone before it is replaced, such as `5m` or `1h30m`.
    #[serde(default = "Repair::default_after")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(s|m|h))+$"))]
    pub after: String,
}

impl Repair {
    fn default_after() -> String {
        "5m".to_owned()
    }
}

impl Default for Repair {
    fn default() -> Self {
        Self { mode: Mode::Automatic, after: Self::default_after() }
    }
}
