//! What becomes of the metrics of clients, counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why pushes did not reach the collector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dropped {
    reason: &'static str,
}

/// Pushes on their way to the collector, counted by how they end.
#[derive(Clone, Debug, Default)]
pub struct ClientMetricsCounters {
    forwarded: Counter,
    dropped: Family<Dropped, Counter>,
}

impl ClientMetricsCounters {
    /// One has been taken by the collector.
    pub(super) fn forwarded(&self) {
        self.forwarded.inc();
    }

    /// One is given up for this reason.
    pub(super) fn dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&Dropped { reason }).inc();
    }

    /// Registers them.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Pushes of client metrics taken by the collector";
        registry.register("ottla_client_metrics_forwarded", help, self.forwarded.clone());
        let help = "Pushes of client metrics that did not reach the collector";
        registry.register("ottla_client_metrics_dropped", help, self.dropped.clone());
    }

    /// Pushes that were taken by the collector, and those dropped for `reason`.
    #[cfg(test)]
    pub(super) fn count(&self, reason: &'static str) -> (u64, u64) {
        (self.forwarded.get(), self.dropped.get_or_create(&Dropped { reason }).get())
    }
}
