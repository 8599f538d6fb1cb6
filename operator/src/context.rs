//! What every pass is handed.

use std::sync::{Arc, OnceLock};

use kube::{Client, Resource};
use ottla_crds::KafkaTopic;

use crate::{
    backoff::Backoff,
    config::OperatorConfig,
    events::Events,
    kafka::Connector,
    metrics::Metrics,
    progress::Progress,
    topic::{Live, Topics},
    vigil::Vigil,
    wishes::Wishes,
};

/// Shared by all passes of both kinds.
pub struct Context {
    /// The Kubernetes API.
    pub client: Client,
    /// What the operator was told.
    pub config: OperatorConfig,
    /// The way to clusters.
    pub connector: Arc<dyn Connector>,
    /// Reports what happened.
    pub events: Events,
    /// Waits of failing objects.
    pub backoff: Backoff,
    /// What passes count.
    pub metrics: Metrics,
    /// How long brokers have been seen empty.
    pub vigil: Vigil,
    /// How fast brokers copy what they have still to.
    pub progress: Progress,
    /// What passes over topics read together.
    pub live: Live,
    /// What topics ask of their clusters.
    pub wishes: Wishes,
    topics: OnceLock<Vec<Scope>>,
}

impl Context {
    /// A context that reaches Kubernetes by `client` and clusters by `connector`.
    pub fn new(client: Client, config: OperatorConfig, connector: Arc<dyn Connector>) -> Self {
        let events = Events::new(client.clone(), config.instance.clone());
        let (backoff, metrics, vigil) = (Backoff::default(), Metrics::default(), Vigil::default());
        let (progress, live, wishes) = (Progress::default(), Live::new(client.clone()), Wishes::default());
        let topics = OnceLock::new();
        Self { client, config, connector, events, backoff, metrics, vigil, progress, live, wishes, topics }
    }

    /// The same, with metrics that are already served.
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Forgets what passes over an object noted that is gone.
    pub fn forget(&self, kind: &'static str, namespace: &str, name: &str) {
        self.metrics.forget(kind, namespace, name);
        if kind == KafkaTopic::kind(&()) {
            self.wishes.note(namespace, name, None);
        }
    }

    /// Gives passes what the watches on KafkaTopics tell.
    pub fn remember_topics(&self, topics: Vec<Scope>) {
        // Second ones would tell of the same objects.
        let _ = self.topics.set(topics);
    }

    /// What the watch on the KafkaTopics of `namespace` tells, if there is one: good enough for what can be undone.
    pub fn topics(&self, namespace: &str) -> Option<&Topics> {
        let has = |scope: &&Scope| scope.namespace.as_deref().is_none_or(|one| one == namespace);
        self.topics.get()?.iter().find(has).map(|scope| &scope.topics)
    }
}

/// The KafkaTopics of one namespace, or of all.
pub struct Scope {
    /// The namespace; `None` is all of them.
    pub namespace: Option<String>,
    /// Its KafkaTopics.
    pub topics: Topics,
}
