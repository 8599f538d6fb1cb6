//! What a log needs to know of its topic's configuration; the values come from the broker's configuration.

use std::time::Duration;

pub use ottla_records::TimestampType;

/// The settings of one log, shared by the partitions of a topic. Names and defaults are Kafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it would grow beyond this.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when this much time lies between its first and its newest timestamp.
    pub segment_ms: Duration,
    /// `segment.jitter.ms`, already drawn for this log: taken off `segment_ms`.
    pub segment_jitter: Duration,
    /// `segment.index.bytes`: size of an offset index at which the segment is rolled.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: bytes of log between two index entries.
    pub index_interval_bytes: u32,
    /// `retention.bytes`; none keeps everything.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; none keeps everything.
    pub retention_ms: Option<Duration>,
    /// `cleanup.policy` contains `delete`. A log that is only compacted is not cut by time or size.
    pub delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `min.compaction.lag.ms`: a record is not cleaned before it is this old.
    pub min_compaction_lag: Duration,
    /// `max.compaction.lag.ms`: a record that is this old is cleaned however little there is to clean; none waits.
    pub max_compaction_lag: Option<Duration>,
    /// `min.cleanable.dirty.ratio`: a clean begins when more than this part of the log has not been cleaned.
    pub min_dirty_ratio: f64,
    /// `delete.retention.ms`: how long a tombstone, or a marker without records, stays once it has been cleaned.
    pub delete_retention: Duration,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: Duration::from_secs(7 * 24 * 3600),
            segment_jitter: Duration::ZERO,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_bytes: None,
            retention_ms: Some(Duration::from_secs(7 * 24 * 3600)),
            delete: true,
            compact: false,
            min_compaction_lag: Duration::ZERO,
            max_compaction_lag: None,
            min_dirty_ratio: 0.5,
            delete_retention: Duration::from_secs(24 * 3600),
            timestamp_type: TimestampType::CreateTime,
            producer_id_expiration: Duration::from_secs(24 * 3600),
        }
    }
}

impl LogConfig {
    /// How much time a segment may span: what is to be compacted in time has to leave the active segment in time.
    pub fn longest_segment(&self) -> Duration {
        match self.max_compaction_lag {
            Some(lag) if self.compact => self.segment_ms.min(lag),
            _ => self.segment_ms,
        }
    }
}
