//! The group coordinator's section of the configuration.

use std::str::FromStr;
use std::time::Duration;

use ottla_core::config::Layers;
use ottla_core::group::Config;

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
    }
}

fn number<T: FromStr>(layers: &Layers<'_>, key: &str) -> Option<T> {
    layers.broker_value(key)?.trim().parse().ok()
}
