//! The settings of streams groups, under Kafka's names.

use std::time::Duration;

use crate::group::config::{DurationRange, cluster_duration, own_duration};
use crate::metadata::{Image, Resource};

/// What `server.properties` says about streams groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsConfig {
    /// `group.streams.session.timeout.ms`, where the group sets no `streams.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.streams.min.session.timeout.ms` and `group.streams.max.session.timeout.ms`.
    pub session_timeout_range: DurationRange,
    /// `group.streams.heartbeat.interval.ms`, where the group sets no `streams.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `group.streams.min.heartbeat.interval.ms` and `group.streams.max.heartbeat.interval.ms`.
    pub heartbeat_interval_range: DurationRange,
    /// `group.streams.max.size`: members in one group.
    pub max_size: usize,
    /// `group.streams.num.standby.replicas`, where the group sets no `streams.num.standby.replicas`.
    pub num_standby_replicas: u32,
    /// `group.streams.max.standby.replicas`.
    pub max_standby_replicas: u32,
    /// `group.streams.initial.rebalance.delay.ms`, where the group sets no `streams.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.streams.assignment.interval.ms`, where neither the group sets `streams.assignment.interval.ms` nor the cluster
    /// another: the least time between two assignments.
    pub assignment_interval: Duration,
    /// `group.streams.min.assignment.interval.ms` and `group.streams.max.assignment.interval.ms`.
    pub assignment_interval_range: DurationRange,
}

impl Default for StreamsConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            session_timeout_range: (Duration::from_secs(45), Duration::from_secs(60)),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_interval_range: (Duration::from_secs(5), Duration::from_secs(15)),
            max_size: i32::MAX as usize,
            num_standby_replicas: 0,
            max_standby_replicas: 2,
            initial_rebalance_delay: Duration::from_secs(3),
            assignment_interval: Duration::from_secs(1),
            assignment_interval_range: (Duration::ZERO, Duration::from_secs(15)),
        }
    }
}

impl StreamsConfig {
    /// How long a member of `group` may be silent.
    pub(crate) fn session_timeout_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "streams.session.timeout.ms", self.session_timeout_range);
        own.unwrap_or(self.session_timeout)
    }

    /// How often the members of `group` are to send heartbeats.
    pub(crate) fn heartbeat_interval_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "streams.heartbeat.interval.ms", self.heartbeat_interval_range);
        own.unwrap_or(self.heartbeat_interval)
    }

    /// How long `group` waits for more members after its first.
    pub(crate) fn initial_rebalance_delay_of(&self, group: &str, image: &Image) -> Duration {
        let any = (Duration::ZERO, Duration::MAX);
        own_duration(group, image, "streams.initial.rebalance.delay.ms", any).unwrap_or(self.initial_rebalance_delay)
    }

    /// The least time between two assignments of `group`.
    pub(crate) fn assignment_interval_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "streams.assignment.interval.ms", self.assignment_interval_range);
        own.or_else(|| cluster_duration(image, "group.streams.assignment.interval.ms"))
            .unwrap_or(self.assignment_interval)
    }

    /// How many copies the state of each task of `group` is to have.
    pub(crate) fn num_standby_replicas_of(&self, group: &str, image: &Image) -> u32 {
        let own = || image.config_value(&Resource::group(group), "streams.num.standby.replicas")?.trim().parse().ok();
        own().map_or(self.num_standby_replicas, |own: u32| own.min(self.max_standby_replicas))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Record;

    #[test]
    fn a_group_sets_its_own_values_within_the_brokers_range() {
        let mut image = Image::default();
        let own = [
            ("streams.session.timeout.ms", "50000"),
            ("streams.heartbeat.interval.ms", "1"),
            ("streams.initial.rebalance.delay.ms", "0"),
            ("streams.assignment.interval.ms", "90000"),
            ("streams.num.standby.replicas", "9"),
        ];
        for (key, value) in own {
            let (key, value) = (key.to_owned(), Some(value.to_owned()));
            image.apply(&Record::ConfigChanged { resource: Resource::group("g"), key, value }).unwrap();
        }
        let config = StreamsConfig::default();
        assert_eq!(config.session_timeout_of("g", &image), Duration::from_secs(50));
        assert_eq!(config.session_timeout_of("other", &image), Duration::from_secs(45));
        assert_eq!(config.heartbeat_interval_of("g", &image), Duration::from_secs(5));
        assert_eq!(config.initial_rebalance_delay_of("g", &image), Duration::ZERO);
        assert_eq!(config.initial_rebalance_delay_of("other", &image), Duration::from_secs(3));
        assert_eq!(config.assignment_interval_of("g", &image), Duration::from_secs(15));
        assert_eq!(config.num_standby_replicas_of("g", &image), 2);
        assert_eq!(config.num_standby_replicas_of("other", &image), 0);
        assert_eq!(config.assignment_interval_of("other", &image), Duration::from_secs(1));
        let (key, value) = ("group.streams.assignment.interval.ms".to_owned(), Some("2000".to_owned()));
        image.apply(&Record::ConfigChanged { resource: Resource::every_broker(), key, value }).unwrap();
        assert_eq!(config.assignment_interval_of("other", &image), Duration::from_secs(2));
    }
}
