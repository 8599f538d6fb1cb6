//! The group coordinator's section of the configuration.

use std::str::FromStr;
use std::time::Duration;

use ottla_core::config::Layers;
use ottla_core::group::{Assignor, Config, ConsumerConfig, DurationRange, MigrationPolicy, ShareConfig, StreamsConfig};

/// Reads the section; what is absent or was refused at the start has Kafka's default.
pub fn settings(layers: &Layers<'_>) -> Config {
    let default = Config::default();
    let millis = |key, default| number(layers, key).map_or(default, Duration::from_millis);
    Config {
        min_session_timeout: millis("group.min.session.timeout.ms", default.min_session_timeout),
        max_session_timeout: millis("group.max.session.timeout.ms", default.max_session_timeout),
        initial_rebalance_delay: millis("group.initial.rebalance.delay.ms", default.initial_rebalance_delay),
        max_size: number(layers, "group.max.size").unwrap_or(default.max_size),
        new_member_join_timeout: default.new_member_join_timeout,
        offset_metadata_max_bytes: number(layers, "offset.metadata.max.bytes")
            .unwrap_or(default.offset_metadata_max_bytes),
        offsets_retention: number(layers, "offsets.retention.minutes")
            .map_or(default.offsets_retention, |minutes: u64| Duration::from_secs(minutes.saturating_mul(60))),
        offsets_retention_check_interval: millis(
            "offsets.retention.check.interval.ms",
            default.offsets_retention_check_interval,
        ),
        append_timeout: millis("offsets.commit.timeout.ms", default.append_timeout),
        consumer: consumer_settings(layers),
        share: share_settings(layers),
        streams: streams_settings(layers),
    }
}

/// The protocols of groups that a broker serves beside the classic one, as far as the cluster has finalized them.
#[derive(Clone, Copy, Debug)]
pub struct Protocols {
    /// That of consumers (KIP-848).
    pub consumer: bool,
    /// That of applications of Kafka Streams (KIP-1071).
    pub streams: bool,
}

/// What `group.coordinator.rebalance.protocols` says.
pub fn protocols(layers: &Layers<'_>) -> Protocols {
    let value = layers.broker_value("group.coordinator.rebalance.protocols").unwrap_or_default();
    let has = |name: &str| value.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case(name));
    Protocols { consumer: has("consumer"), streams: has("streams") }
}

fn consumer_settings(layers: &Layers<'_>) -> ConsumerConfig {
    let default = ConsumerConfig::default();
    let millis = |key, default| number(layers, key).map_or(default, Duration::from_millis);
    let assignors = layers.broker_value("group.consumer.assignors").unwrap_or_default();
    ConsumerConfig {
        session_timeout: millis("group.consumer.session.timeout.ms", default.session_timeout),
        session_timeout_range: range(layers, "consumer", "session.timeout", default.session_timeout_range),
        heartbeat_interval: millis("group.consumer.heartbeat.interval.ms", default.heartbeat_interval),
        heartbeat_interval_range: range(layers, "consumer", "heartbeat.interval", default.heartbeat_interval_range),
        assignment_interval: millis("group.consumer.assignment.interval.ms", default.assignment_interval),
        assignment_interval_range: range(layers, "consumer", "assignment.interval", default.assignment_interval_range),
        max_size: number(layers, "group.consumer.max.size").unwrap_or(default.max_size),
        assignors: assignors.split(',').filter_map(|name| Assignor::from_name(name.trim())).collect(),
        migration: layers
            .broker_value("group.consumer.migration.policy")
            .and_then(|name| MigrationPolicy::from_name(name.trim()))
            .unwrap_or(default.migration),
    }
}

fn share_settings(layers: &Layers<'_>) -> ShareConfig {
    let default = ShareConfig::default();
    let millis = |key, default| number(layers, key).map_or(default, Duration::from_millis);
    ShareConfig {
        session_timeout: millis("group.share.session.timeout.ms", default.session_timeout),
        session_timeout_range: range(layers, "share", "session.timeout", default.session_timeout_range),
        heartbeat_interval: millis("group.share.heartbeat.interval.ms", default.heartbeat_interval),
        heartbeat_interval_range: range(layers, "share", "heartbeat.interval", default.heartbeat_interval_range),
        assignment_interval: millis("group.share.assignment.interval.ms", default.assignment_interval),
        assignment_interval_range: range(layers, "share", "assignment.interval", default.assignment_interval_range),
        max_size: number(layers, "group.share.max.size").unwrap_or(default.max_size),
    }
}

fn streams_settings(layers: &Layers<'_>) -> StreamsConfig {
    let default = StreamsConfig::default();
    let millis = |key, default| number(layers, key).map_or(default, Duration::from_millis);
    let range = |of, default| range(layers, "streams", of, default);
    StreamsConfig {
        session_timeout: millis("group.streams.session.timeout.ms", default.session_timeout),
        session_timeout_range: range("session.timeout", default.session_timeout_range),
        heartbeat_interval: millis("group.streams.heartbeat.interval.ms", default.heartbeat_interval),
        heartbeat_interval_range: range("heartbeat.interval", default.heartbeat_interval_range),
        max_size: number(layers, "group.streams.max.size").unwrap_or(default.max_size),
        num_standby_replicas: number(layers, "group.streams.num.standby.replicas")
            .unwrap_or(default.num_standby_replicas),
        max_standby_replicas: number(layers, "group.streams.max.standby.replicas")
            .unwrap_or(default.max_standby_replicas),
        initial_rebalance_delay: millis("group.streams.initial.rebalance.delay.ms", default.initial_rebalance_delay),
        assignment_interval: millis("group.streams.assignment.interval.ms", default.assignment_interval),
        assignment_interval_range: range("assignment.interval", default.assignment_interval_range),
    }
}

/// What groups of a kind may set of a time.
fn range(layers: &Layers<'_>, kind: &str, of: &str, (least, most): DurationRange) -> DurationRange {
    let bound = |bound: &str, default| {
        number(layers, &format!("group.{kind}.{bound}.{of}.ms")).map_or(default, Duration::from_millis)
    };
    (bound("min", least), bound("max", most))
}

fn number<T: FromStr>(layers: &Layers<'_>, key: &str) -> Option<T> {
    layers.broker_value(key)?.trim().parse().ok()
}
