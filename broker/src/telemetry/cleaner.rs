//! The metrics of the log cleaner, under the names that Kafka's JMX exporter gives them; Ottla's own begin with `ottla_`.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ottla_storage::CleanStats;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Float = Gauge<f64, AtomicU64>;

/// What the cleaner tells of itself.
#[derive(Clone, Debug, Default)]
pub struct CleanerMetrics {
    /// Logs that are set aside because their clean failed.
    pub uncleanable: Gauge,
    /// The dirty part of the dirtiest log that is due or not, in percent, when it was last looked at.
    pub max_dirty_percent: Float,
    seconds: Float,
    recopied_percent: Float,
    buffer_percent: Float,
    cleans: Counter,
    bytes_read: Counter,
    bytes_written: Counter,
    records_removed: Counter,
}

impl CleanerMetrics {
    /// Counts a clean that is done.
    pub fn cleaned(&self, stats: &CleanStats, took: Duration) {
        let read = stats.mapped_bytes + stats.bytes_before;
        self.seconds.set(took.as_secs_f64());
        self.recopied_percent.set(100.0 * stats.bytes_after as f64 / read.max(1) as f64);
        self.buffer_percent.set(100.0 * stats.buffer_used);
        self.cleans.inc();
        self.bytes_read.inc_by(read);
        self.bytes_written.inc_by(stats.bytes_after);
        self.records_removed.inc_by(stats.records_before.saturating_sub(stats.records_after));
    }

    /// Registers them.
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Compacted logs set aside because their clean failed";
        registry.register("kafka_log_logcleanermanager_uncleanable_partitions_count", help, self.uncleanable.clone());
        let gauges = [
            ("manager_max_dirty_percent", "Dirty part of the dirtiest compacted log", &self.max_dirty_percent),
            ("_max_clean_time_secs", "Seconds that the last clean took", &self.seconds),
            ("_cleaner_recopy_percent", "Bytes written of bytes read by the last clean", &self.recopied_percent),
            ("_max_buffer_utilization_percent", "Part of the table of keys in use", &self.buffer_percent),
        ];
        for (name, help, gauge) in gauges {
            registry.register(format!("kafka_log_logcleaner{name}"), help, gauge.clone());
        }
        let counters = [
            ("cleans", "Logs cleaned", &self.cleans),
            ("bytes_read", "Bytes read by cleans", &self.bytes_read),
            ("bytes_written", "Bytes written by cleans", &self.bytes_written),
            ("records_removed", "Records removed by cleans", &self.records_removed),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("ottla_log_cleaner_{name}"), help, counter.clone());
        }
    }
}
