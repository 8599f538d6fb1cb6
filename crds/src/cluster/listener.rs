//! Listeners: the ports clients connect to.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One port on every broker where clients connect.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'Internal' || self.advertise == 'Hostname'")
    .message("advertise is only for type Internal: from outside, brokers are reached by their nodes or load balancers")
    .field_path(".advertise"))]
pub struct Listener {
    /// A short name of lower-case letters and digits; in capitals it is the listener's name in Kafka.
    #[schemars(length(min = 1, max = 12), regex(pattern = r"^[a-z][a-z0-9]*$"))]
    #[x_kube(validation = Rule::new("!(self in ['controller', 'http'])")
        .message("the names 'controller' and 'http' belong to ports that every broker has"))]
    pub name: String,

    /// The port brokers listen on.
    #[schemars(range(min = 1024, max = 65535))]
    #[x_kube(validation = Rule::new("self != 9093 && self != 9404")
        .message("ports 9093 (between brokers) and 9404 (metrics and probes) are the brokers' own"))]
    pub port: i32,

    /// Who can reach it.
    #[serde(default, rename = "type")]
    pub type_: ListenerType,

    /// The address brokers tell clients to use. Only for type Internal.
    #[serde(default)]
    pub advertise: Advertise,

    /// Encrypt the listener. Left out: plaintext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,

    /// Who may connect. Left out: everybody who can reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<ListenerAuthentication>,
}

/// Who can reach a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ListenerType {
    /// Pods of the same Kubernetes cluster.
    #[default]
    Internal,
    /// Everybody who can reach the nodes, on ports that Kubernetes allocates: one to start from, and one a broker.
    NodePort,
    /// Everybody who can reach the load balancers that are made: one to start from, and one a broker.
    LoadBalancer,
}

/// Which of its addresses a broker gives to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Advertise {
    /// The pod's name in DNS, which stays the same when the pod restarts.
    #[default]
    Hostname,
    /// The pod's IP, for clients that reach pods but do not use the cluster's DNS.
    #[serde(rename = "PodIP")]
    PodIp,
}

/// Encryption of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// A Secret of type kubernetes.io/tls in the same namespace. Left out: a certificate made by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// Who may connect to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerAuthentication {
    /// The SASL mechanisms clients may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub mechanisms: Vec<SaslMechanism>,
}

/// A SASL mechanism by the name that clients configure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// User and password, sent as they are: only with tls.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Salted challenge and response over SHA-256 (RFC 7677).
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Salted challenge and response over SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// What a spec without listeners has.
pub(super) fn default_listeners() -> Vec<Listener> {
    vec![Listener {
        name: "plain".to_owned(),
        port: 9092,
        type_: ListenerType::Internal,
        advertise: Advertise::Hostname,
        tls: None,
        authentication: None,
    }]
}
