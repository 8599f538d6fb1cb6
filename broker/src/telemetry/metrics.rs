//! The metrics of a broker, under the names that Kafka's JMX exporter gives them; Ottla's own begin with `ottla_`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ottla_core::group::GroupCounts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{CleanerMetrics, ShareMetrics, groups};
use crate::client_metrics::ClientMetricsCounters;

/// Label of metrics that are kept per topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TopicLabels {
    /// The topic.
    pub topic: String,
}

/// Label of metrics that are kept per kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Name of the API, such as `Produce`.
    pub request: String,
}

/// Counters that the hot path raises. Handles of a topic are looked up once per partition and kept.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Records appended, per topic.
    pub messages_in: Family<TopicLabels, Counter>,
    /// Bytes of batches appended, per topic.
    pub bytes_in: Family<TopicLabels, Counter>,
    /// Bytes of batches fetched by clients, per topic.
    pub bytes_out: Family<TopicLabels, Counter>,
    /// Requests answered, per API.
    pub requests: Family<RequestLabels, Counter>,
    /// Milliseconds from a whole request to its whole answer, per API.
    pub total_time_ms: Family<RequestLabels, Histogram, fn() -> Histogram>,
    /// The log cleaner's.
    pub cleaner: CleanerMetrics,
    /// Those of share groups.
    pub share: ShareMetrics,
    /// Metrics of clients on their way to the collector.
    pub client_metrics: ClientMetricsCounters,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections closed for a violation of the protocol or of a limit.
    pub connections_refused: Counter,
}

/// The counters of one topic, looked up once per partition.
#[derive(Clone, Debug, Default)]
pub struct TopicCounters {
    /// Records appended.
    pub messages_in: Counter,
    /// Bytes of batches appended.
    pub bytes_in: Counter,
    /// Bytes of batches fetched by clients.
    pub bytes_out: Counter,
}

/// The counters of every API, found by its number.
#[derive(Clone, Debug)]
pub struct RequestMeters(Vec<Option<RequestMeter>>);

#[derive(Clone, Debug)]
struct RequestMeter {
    requests: Counter,
    total_time_ms: Histogram,
}

impl RequestMeters {
    /// Counts an answered request of the API `key`, `took` after it was whole.
    pub fn answered(&self, key: i16, took: Duration) {
        let meter = usize::try_from(key).ok().and_then(|index| self.0.get(index)?.as_ref());
        if let Some(meter) = meter {
            meter.requests.inc();
            meter.total_time_ms.observe(took.as_secs_f64() * 1000.0);
        }
    }
}

/// What is counted at the moment of a scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Partitions that have a replica here.
    pub partitions: i64,
    /// Partitions that are led from here.
    pub leaders: i64,
    /// Led partitions whose ISR is smaller than their replicas.
    pub under_replicated: i64,
    /// Led partitions whose ISR is smaller than min.insync.replicas.
    pub under_min_isr: i64,
    /// The most committed records that a replica here lacks of its leader.
    pub max_lag: i64,
    /// Partitions of the cluster without a leader; counted on the active controller.
    pub offline_partitions: i64,
    /// 1 on the active controller.
    pub active_controller: i64,
    /// Log directories that have failed.
    pub offline_log_dirs: i64,
    /// Open client connections.
    pub connections: i64,
    /// Client instances that tell metrics.
    pub client_instances: i64,
    /// Open share sessions.
    pub share_sessions: i64,
    /// The partitions of all of them.
    pub share_session_partitions: i64,
    /// Partitions that are delivered to a share group from here, for each group.
    pub share_partitions: i64,
    /// Groups that are coordinated here.
    pub groups: GroupCounts,
}

/// Gives a [`Snapshot`] when asked.
pub type Gauges = Arc<dyn Fn() -> BoxFuture<'static, Snapshot> + Send + Sync>;

fn milliseconds() -> Histogram {
    Histogram::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 5_000.0, 30_000.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        Self {
            messages_in: Family::default(),
            bytes_in: Family::default(),
            bytes_out: Family::default(),
            requests: Family::default(),
            total_time_ms: Family::new_with_constructor(milliseconds),
            cleaner: CleanerMetrics::default(),
            share: ShareMetrics::default(),
            client_metrics: ClientMetricsCounters::default(),
            connections: Counter::default(),
            connections_refused: Counter::default(),
        }
    }

    /// The counters of the topic called `topic`.
    pub fn topic(&self, topic: &str) -> TopicCounters {
        let labels = TopicLabels { topic: topic.to_owned() };
        TopicCounters {
            messages_in: self.messages_in.get_or_create(&labels).clone(),
            bytes_in: self.bytes_in.get_or_create(&labels).clone(),
            bytes_out: self.bytes_out.get_or_create(&labels).clone(),
        }
    }

    /// The counters of the APIs given by number and name, at zero.
    pub fn requests(&self, apis: impl Iterator<Item = (i16, String)>) -> RequestMeters {
        let mut meters = Vec::new();
        for (key, request) in apis {
            let Ok(index) = usize::try_from(key) else { continue };
            let labels = RequestLabels { request };
            let requests = self.requests.get_or_create(&labels).clone();
            let total_time_ms = self.total_time_ms.get_or_create(&labels).clone();
            meters.resize_with(meters.len().max(index + 1), || None);
            meters[index] = Some(RequestMeter { requests, total_time_ms });
        }
        RequestMeters(meters)
    }

    /// A registry with these counters.
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        let topics = [
            ("messagesin", "Records appended", &self.messages_in),
            ("bytesin", "Bytes appended", &self.bytes_in),
            ("bytesout", "Bytes fetched by clients", &self.bytes_out),
        ];
        for (name, help, family) in topics {
            registry.register(format!("kafka_server_brokertopicmetrics_{name}"), help, family.clone());
        }
        registry.register("kafka_network_requestmetrics_requests", "Requests answered", self.requests.clone());
        let help = "Milliseconds from a whole request to its answer";
        registry.register("kafka_network_requestmetrics_totaltimems", help, self.total_time_ms.clone());
        registry.register("ottla_connections_accepted", "Connections accepted", self.connections.clone());
        let help = "Connections closed for a violation of the protocol or of a limit";
        registry.register("ottla_connections_refused", help, self.connections_refused.clone());
        self.cleaner.register(&mut registry);
        self.share.register(&mut registry);
        self.client_metrics.register(&mut registry);
        registry
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now = self;
        let gauges = [
            ("kafka_server_replicamanager_partitioncount", "Partitions with a replica here", now.partitions),
            ("kafka_server_replicamanager_leadercount", "Partitions led from here", now.leaders),
            ("kafka_server_replicamanager_underreplicatedpartitions", "Led, ISR < replicas", now.under_replicated),
            ("kafka_server_replicamanager_underminisrpartitioncount", "Led, ISR < min ISR", now.under_min_isr),
            ("kafka_server_replicafetchermanager_maxlag", "Most records a replica here lacks", now.max_lag),
            ("kafka_controller_kafkacontroller_offlinepartitionscount", "Without a leader", now.offline_partitions),
            ("kafka_controller_kafkacontroller_activecontrollercount", "1 on the controller", now.active_controller),
            ("kafka_log_logmanager_offlinelogdirectorycount", "Failed log directories", now.offline_log_dirs),
            ("kafka_server_client_metrics_instance_count", "Clients that tell metrics", now.client_instances),
            ("kafka_server_sharesessioncache_sharesessionscount", "Open share sessions", now.share_sessions),
            ("kafka_server_sharesessioncache_sharepartitionscount", "Partitions of them", now.share_session_partitions),
            ("ottla_share_partitions", "Partitions delivered to share groups from here", now.share_partitions),
            ("ottla_connections", "Open client connections", now.connections),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        groups::encode(&now.groups, &mut encoder)
    }
}
