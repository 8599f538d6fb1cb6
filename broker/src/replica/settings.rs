//! The settings of a topic that the replicas heed, parsed once per change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::config::Layers;
use ottla_core::partition::{self, Durability};
use ottla_records::{Compression, TimestampType};
use ottla_storage::LogConfig;

use super::ThrottledReplicas;

/// What a topic's configuration means here.
#[derive(Clone, Debug)]
pub struct TopicSettings {
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: usize,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max: i64,
    /// `compression.type`; `None` keeps the producer's.
    pub compression: Option<Compression>,
    /// What the partition machine heeds.
    pub partition: partition::Settings,
    /// `leader.replication.throttled.replicas`: those that are sent no faster than the leader's rate.
    pub throttled_leaders: ThrottledReplicas,
    /// `follower.replication.throttled.replicas`: those that fetch no faster than the follower's rate.
    pub throttled_followers: ThrottledReplicas,
    /// What the log heeds.
    pub log: Arc<LogConfig>,
}

impl TopicSettings {
    /// The settings of a topic with overrides `topic` over the broker's `layers`. Every value has been checked before
    /// it was stored; one that still does not parse gives the default.
    pub fn read(layers: &Layers<'_>, topic: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| layers.topic_value(key, topic);
        let number = |key: &str, default: i64| text(key).trim().parse::<i64>().unwrap_or(default);
        let policy = text("cleanup.policy");
        let policies: Vec<&str> = policy.split(',').map(str::trim).collect();
        let expiration = layers.broker_value("producer.id.expiration.ms").and_then(|v| v.parse().ok());
        let log = LogConfig {
            segment_bytes: number("segment.bytes", 1 << 30).clamp(1, i64::from(u32::MAX)) as u32,
            segment_ms: milliseconds(number("segment.ms", 604_800_000)),
            segment_index_bytes: number("segment.index.bytes", 10 << 20).clamp(4, i64::from(u32::MAX)) as u32,
            index_interval_bytes: number("index.interval.bytes", 4096).clamp(0, i64::from(u32::MAX)) as u32,
            retention_bytes: u64::try_from(number("retention.bytes", -1)).ok(),
            retention_ms: u64::try_from(number("retention.ms", 604_800_000)).ok().map(Duration::from_millis),
            delete: policies.contains(&"delete"),
            compact: policies.contains(&"compact"),
            min_compaction_lag: milliseconds(number("min.compaction.lag.ms", 0)),
            max_compaction_lag: Some(number("max.compaction.lag.ms", i64::MAX))
                .filter(|lag| *lag < i64::MAX)
                .map(milliseconds),
            min_dirty_ratio: text("min.cleanable.dirty.ratio").trim().parse().unwrap_or(0.5),
            delete_retention: milliseconds(number("delete.retention.ms", 86_400_000)),
            timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            producer_id_expiration: milliseconds(expiration.unwrap_or(86_400_000)),
            ..LogConfig::default()
        };
        Self {
            max_message_bytes: usize::try_from(number("max.message.bytes", 1_048_588)).unwrap_or(0),
            timestamp_before_max: number("message.timestamp.before.max.ms", i64::MAX),
            timestamp_after_max: number("message.timestamp.after.max.ms", 3_600_000),
            compression: match text("compression.type").as_str() {
                "uncompressed" => Some(Compression::None),
                name => Compression::from_name(name),
            },
            partition: partition::Settings {
                durability: match text("ottla.durability").as_str() {
                    "replicated" => Durability::Replicated,
                    _ => Durability::Fsync,
                },
                min_isr: usize::try_from(number("min.insync.replicas", 1)).unwrap_or(1),
            },
            throttled_leaders: ThrottledReplicas::parse(&text("leader.replication.throttled.replicas")),
            throttled_followers: ThrottledReplicas::parse(&text("follower.replication.throttled.replicas")),
            log: Arc::new(log),
        }
    }
}

fn milliseconds(value: i64) -> Duration {
    Duration::from_millis(value.max(0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_topic_without_overrides_has_kafkas_defaults_and_fsync() {
        let none = BTreeMap::new();
        let settings = TopicSettings::read(&Layers { broker: &none, cluster: &none, fixed: &none }, &none);
        assert_eq!(settings.max_message_bytes, 1_048_588);
        assert_eq!(settings.compression, None);
        assert_eq!(settings.partition, partition::Settings { durability: Durability::Fsync, min_isr: 1 });
        assert_eq!(*settings.log, LogConfig::default());
    }

    #[test]
    fn an_override_of_the_topic_wins_over_the_brokers_value() {
        let none = BTreeMap::new();
        let fixed = values(&[("log.retention.bytes", "5"), ("compression.type", "lz4")]);
        let topic = values(&[("retention.bytes", "7"), ("retention.ms", "-1"), ("cleanup.policy", "compact,delete")]);
        let settings = TopicSettings::read(&Layers { broker: &none, cluster: &none, fixed: &fixed }, &topic);
        assert_eq!(settings.log.retention_bytes, Some(7));
        assert_eq!(settings.log.retention_ms, None);
        assert!(settings.log.compact && settings.log.delete);
        assert_eq!(settings.compression, Some(Compression::Lz4));
    }
}
