//! The settings of a group coordinator, under Kafka's names.

use std::time::Duration;

use super::consumer::ConsumerConfig;
use super::share::ShareConfig;
use super::streams::StreamsConfig;
use crate::metadata::{Image, Resource};

/// The least and the most that a group may set.
pub type DurationRange = (Duration, Duration);

/// What `server.properties` says about groups and committed offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after its first.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members in one group.
    pub max_size: usize,
    /// How long a join of a member that has no id yet may be parked before the member is given up (Kafka: 5 minutes).
    pub new_member_join_timeout: Duration,
    /// `offset.metadata.max.bytes`: the longest metadata string of a committed offset.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`: how long offsets outlive the last member, or a simple consumer's last commit.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`: how long an answer waits for its records to be durable.
    pub append_timeout: Duration,
    /// Groups of the consumer protocol.
    pub consumer: ConsumerConfig,
    /// Share groups.
    pub share: ShareConfig,
    /// Streams groups.
    pub streams: StreamsConfig,
}

impl Default for Config {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::from_secs(3),
            max_size: i32::MAX as usize,
            new_member_join_timeout: Duration::from_secs(5 * 60),
            offset_metadata_max_bytes: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 3600),
            offsets_retention_check_interval: Duration::from_secs(600),
            append_timeout: Duration::from_secs(5),
            consumer: ConsumerConfig::default(),
            share: ShareConfig::default(),
            streams: StreamsConfig::default(),
        }
    }
}

/// What holds for every broker under `key`, if that was set while they run.
pub(super) fn cluster_duration(image: &Image, key: &str) -> Option<Duration> {
    image.config_value(&Resource::every_broker(), key)?.trim().parse().ok().map(Duration::from_millis)
}

/// What the group itself sets under `key`, moved into `range`.
pub(super) fn own_duration(group: &str, image: &Image, key: &str, range: DurationRange) -> Option<Duration> {
    let milliseconds = image.config_value(&Resource::group(group), key)?.trim().parse().ok()?;
    Some(Duration::from_millis(milliseconds).max(range.0).min(range.1))
}
