//! The settings of share groups, under Kafka's names.

use std::time::Duration;

use crate::group::config::{DurationRange, cluster_duration, own_duration};
use crate::metadata::Image;

/// What `server.properties` says about membership in share groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareConfig {
    /// `group.share.session.timeout.ms`, where the group sets no `share.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.share.min.session.timeout.ms` and `group.share.max.session.timeout.ms`.
    pub session_timeout_range: DurationRange,
    /// `group.share.heartbeat.interval.ms`, where the group sets no `share.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `group.share.min.heartbeat.interval.ms` and `group.share.max.heartbeat.interval.ms`.
    pub heartbeat_interval_range: DurationRange,
    /// `group.share.assignment.interval.ms`, where neither the group sets `share.assignment.interval.ms` nor the cluster
    /// another: the least time between targets.
    pub assignment_interval: Duration,
    /// `group.share.min.assignment.interval.ms` and `group.share.max.assignment.interval.ms`.
    pub assignment_interval_range: DurationRange,
    /// `group.share.max.size`: members in one group.
    pub max_size: usize,
}

impl Default for ShareConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            session_timeout_range: (Duration::from_secs(45), Duration::from_secs(60)),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_interval_range: (Duration::from_secs(5), Duration::from_secs(15)),
            assignment_interval: Duration::from_secs(1),
            assignment_interval_range: (Duration::ZERO, Duration::from_secs(15)),
            max_size: 200,
        }
    }
}

impl ShareConfig {
    /// How long a member of `group` may be silent.
    pub(crate) fn session_timeout_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "share.session.timeout.ms", self.session_timeout_range);
        own.unwrap_or(self.session_timeout)
    }

    /// How often the members of `group` are to send heartbeats.
    pub(crate) fn heartbeat_interval_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "share.heartbeat.interval.ms", self.heartbeat_interval_range);
        own.unwrap_or(self.heartbeat_interval)
    }

    /// The least time between targets of `group`.
    pub(crate) fn assignment_interval_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "share.assignment.interval.ms", self.assignment_interval_range);
        own.or_else(|| cluster_duration(image, "group.share.assignment.interval.ms"))
            .unwrap_or(self.assignment_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Record, Resource};

    #[test]
    fn the_interval_between_targets_is_the_groups_own_or_the_clusters_or_the_brokers() {
        let mut image = Image::default();
        let config = ShareConfig::default();
        assert_eq!(config.assignment_interval_of("g", &image), Duration::from_secs(1));
        for (resource, key, value) in [
            (Resource::every_broker(), "group.share.assignment.interval.ms", "2000"),
            (Resource::group("g"), "share.assignment.interval.ms", "60000"),
        ] {
            let (key, value) = (key.to_owned(), Some(value.to_owned()));
            image.apply(&Record::ConfigChanged { resource, key, value }).unwrap();
        }
        assert_eq!(config.assignment_interval_of("other", &image), Duration::from_secs(2));
        assert_eq!(
            config.assignment_interval_of("g", &image),
            Duration::from_secs(15),
            "the most that the broker allows"
        );
    }
}
