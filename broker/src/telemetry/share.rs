//! The metrics of share groups, under the names that Kafka's JMX exporter gives them; Ottla's own begin with `ottla_`.

use ottla_core::share::partition::Tally;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What is said of records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Said {
    acktype: &'static str,
}

/// What the leaders of share partitions count.
#[derive(Clone, Debug)]
pub struct ShareMetrics {
    said: Family<Said, Counter>,
    accepted: Counter,
    released: Counter,
    rejected: Counter,
    renewed: Counter,
    /// Records given to members.
    pub acquired: Counter,
    /// Records taken from members whose time was over.
    pub timed_out: Counter,
    /// Share fetches that were refused, or a partition of them.
    pub failed_fetches: Counter,
    /// Acknowledgements of a partition that were refused.
    pub failed_acknowledgements: Counter,
}

impl Default for ShareMetrics {
    /// Counters at zero.
    fn default() -> Self {
        let said = Family::<Said, Counter>::default();
        let of = |acktype| said.get_or_create(&Said { acktype }).clone();
        Self {
            accepted: of("Accept"),
            released: of("Release"),
            rejected: of("Reject"),
            renewed: of("Renew"),
            said,
            acquired: Counter::default(),
            timed_out: Counter::default(),
            failed_fetches: Counter::default(),
            failed_acknowledgements: Counter::default(),
        }
    }
}

impl ShareMetrics {
    /// Counts what a member has said, and what was taken in.
    pub fn acknowledged(&self, tally: Tally) {
        self.accepted.inc_by(tally.accepted);
        self.released.inc_by(tally.released);
        self.rejected.inc_by(tally.rejected);
        self.renewed.inc_by(tally.renewed);
    }

    /// Registers them.
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Records of which members of share groups said so";
        registry.register("kafka_server_sharegroupmetrics_recordacknowledgements", help, self.said.clone());
        let counters = [
            ("failedsharefetchrequests", "Share fetches refused, or a partition of them", &self.failed_fetches),
            (
                "failedshareacknowledgementrequests",
                "Acknowledgements of a partition refused",
                &self.failed_acknowledgements,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("kafka_server_brokertopicmetrics_{name}"), help, counter.clone());
        }
        let counters = [
            ("acquired", "Records given to members of share groups", &self.acquired),
            ("timed_out", "Records taken from members whose time was over", &self.timed_out),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("ottla_share_records_{name}"), help, counter.clone());
        }
    }
}
