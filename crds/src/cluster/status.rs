//! What a cluster is now.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the cluster is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The cluster's id in Kafka: made once, before the first broker, and never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,

    /// How many broker pods there are.
    #[serde(default)]
    pub brokers: i32,

    /// How many brokers are ready: registered, unfenced and caught up.
    #[serde(default)]
    pub ready_brokers: i32,

    /// The label selector of the broker pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// The version of the operator that wrote this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub listeners: Vec<ListenerStatus>,

    /// Counts over all partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PartitionSummary>,

    /// One entry for each broker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub broker_states: Vec<BrokerStatus>,

    /// The brokers' settings that the operator set from the spec, so that one taken out of the spec is known to be
    /// reset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub managed_config: Vec<String>,

    /// Ready, Available, Progressing, Rebalancing, Degraded, Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where clients connect to one listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The listener's name in the spec.
    pub name: String,
    /// What a client takes as `bootstrap.servers`.
    pub bootstrap_servers: String,
}

/// Counts over all partitions of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionSummary {
    /// All of them.
    pub total: i32,
    /// Those with fewer in-sync replicas than replicas.
    pub under_replicated: i32,
    /// Those with fewer in-sync replicas than `min.insync.replicas`: acks=all is refused there.
    pub under_min_isr: i32,
    /// Those without a leader: nobody can read or write there.
    pub offline: i32,
    /// Those being moved to other brokers.
    pub moving: i32,
    /// Bytes that moves have still to copy, in two digits.
    pub bytes_to_move: i64,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerStatus {
    /// Its id, which is the pod's ordinal.
    pub id: i32,
    /// The name of its pod.
    pub pod: String,
    /// What it is doing.
    pub state: BrokerState,
    /// Since when it has been lost: it does not serve, and does not come back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_since: Option<Time>,
    /// Its epoch: one number for each uptime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// How many partitions it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaders: Option<i32>,
    /// How many replicas it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Bytes that it has still to give away while Draining, or to get by moves or on a new disk, in two digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_left: Option<i64>,
    /// How many seconds that will take if it goes on as it did, in coarse steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_seconds_left: Option<i64>,
    /// How full its fullest disk is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_used_percent: Option<i32>,
}

/// What a broker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BrokerState {
    /// On its way to its first Ready.
    Starting,
    /// Serving.
    Ready,
    /// Down for a moment, on purpose or not, and coming back on its disk.
    Restarting,
    /// Giving its partitions away before it leaves.
    Draining,
    /// Filling a new disk from the others.
    Replacing,
    /// Gone, and not coming back by itself.
    Lost,
}
