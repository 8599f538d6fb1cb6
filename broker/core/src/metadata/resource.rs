//! What a configuration belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of resource that have configurations; Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A topic, by name.
    Topic,
    /// A broker by id, or every broker by the empty name.
    Broker,
    /// A subscription to metrics of clients, by name (KIP-714).
    ClientMetrics,
    /// A consumer group, by id.
    Group,
}

impl ResourceKind {
    /// Kafka's number for it.
    pub fn id(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }

    /// The kind with Kafka's number `id`, if Ottla has configurations of it.
    pub fn from_id(id: i8) -> Option<Self> {
        [Self::Topic, Self::Broker, Self::ClientMetrics, Self::Group].into_iter().find(|kind| kind.id() == id)
    }
}

/// What a configuration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name; empty for the default of all brokers.
    pub name: String,
}

impl Resource {
    /// The topic `name`.
    pub fn topic(name: impl Into<String>) -> Self {
        Self { kind: ResourceKind::Topic, name: name.into() }
    }

    /// The broker `name`, a number.
    pub fn broker(name: impl Into<String>) -> Self {
        Self { kind: ResourceKind::Broker, name: name.into() }
    }

    /// The default of all brokers.
    pub fn every_broker() -> Self {
        Self { kind: ResourceKind::Broker, name: String::new() }
    }

    /// The subscription `name` to metrics of clients.
    pub fn client_metrics(name: impl Into<String>) -> Self {
        Self { kind: ResourceKind::ClientMetrics, name: name.into() }
    }

    /// The consumer group `name`.
    pub fn group(name: impl Into<String>) -> Self {
        Self { kind: ResourceKind::Group, name: name.into() }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.name.as_str()) {
            (ResourceKind::Broker, "") => f.write_str("every broker"),
            (ResourceKind::Topic, name) => write!(f, "topic {name}"),
            (ResourceKind::Broker, name) => write!(f, "broker {name}"),
            (ResourceKind::ClientMetrics, name) => write!(f, "client metrics {name}"),
            (ResourceKind::Group, name) => write!(f, "group {name}"),
        }
    }
}
