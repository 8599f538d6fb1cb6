//! The settings of groups of the consumer protocol, under Kafka's names.

use std::time::Duration;

use super::assignor::Assignor;
use crate::group::config::{DurationRange, cluster_duration, own_duration};
use crate::metadata::Image;

/// What `server.properties` says about groups of the consumer protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// `group.consumer.session.timeout.ms`, where the group sets no `consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.consumer.min.session.timeout.ms` and `group.consumer.max.session.timeout.ms`.
    pub session_timeout_range: DurationRange,
    /// `group.consumer.heartbeat.interval.ms`, where the group sets no `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `group.consumer.min.heartbeat.interval.ms` and `group.consumer.max.heartbeat.interval.ms`.
    pub heartbeat_interval_range: DurationRange,
    /// `group.consumer.assignment.interval.ms`, where neither the group sets `consumer.assignment.interval.ms` nor the cluster
    /// another: the least time between targets.
    pub assignment_interval: Duration,
    /// `group.consumer.min.assignment.interval.ms` and `group.consumer.max.assignment.interval.ms`.
    pub assignment_interval_range: DurationRange,
    /// `group.consumer.max.size`: members in one group.
    pub max_size: usize,
    /// `group.consumer.assignors`; the first is for groups whose members do not say.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`.
    pub migration: MigrationPolicy,
}

/// Which way a group may change its protocol while it has members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationPolicy {
    /// From classic to consumer, with the first member of the consumer protocol.
    pub upgrade: bool,
    /// From consumer to classic, with the last member of the consumer protocol.
    pub downgrade: bool,
}

impl MigrationPolicy {
    /// The policy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let policy = |upgrade, downgrade| Some(Self { upgrade, downgrade });
        match name {
            "bidirectional" => policy(true, true),
            "upgrade" => policy(true, false),
            "downgrade" => policy(false, true),
            "disabled" => policy(false, false),
            _ => None,
        }
    }
}

impl Default for ConsumerConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            session_timeout_range: (Duration::from_secs(45), Duration::from_secs(60)),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_interval_range: (Duration::from_secs(5), Duration::from_secs(15)),
            assignment_interval: Duration::from_secs(1),
            assignment_interval_range: (Duration::ZERO, Duration::from_secs(15)),
            max_size: i32::MAX as usize,
            assignors: vec![Assignor::Uniform, Assignor::Range],
            migration: MigrationPolicy { upgrade: true, downgrade: true },
        }
    }
}

impl ConsumerConfig {
    /// How long a member of `group` may be silent.
    pub(crate) fn session_timeout_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "consumer.session.timeout.ms", self.session_timeout_range);
        own.unwrap_or(self.session_timeout)
    }

    /// How often the members of `group` are to send heartbeats.
    pub(crate) fn heartbeat_interval_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "consumer.heartbeat.interval.ms", self.heartbeat_interval_range);
        own.unwrap_or(self.heartbeat_interval)
    }

    /// The least time between targets of `group`.
    pub(crate) fn assignment_interval_of(&self, group: &str, image: &Image) -> Duration {
        let own = own_duration(group, image, "consumer.assignment.interval.ms", self.assignment_interval_range);
        own.or_else(|| cluster_duration(image, "group.consumer.assignment.interval.ms"))
            .unwrap_or(self.assignment_interval)
    }

    /// The assignor called `name`, if it may be used here.
    pub(crate) fn assignor(&self, name: &str) -> Option<Assignor> {
        self.assignors.iter().copied().find(|assignor| assignor.name() == name)
    }

    /// The assignor of groups whose members do not say.
    pub(crate) fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Record, Resource};

    #[test]
    fn a_group_sets_its_own_times_within_the_brokers_range() {
        let mut image = Image::default();
        for (key, value) in [("consumer.session.timeout.ms", "50000"), ("consumer.heartbeat.interval.ms", "1")] {
            let (key, value) = (key.to_owned(), Some(value.to_owned()));
            image.apply(&Record::ConfigChanged { resource: Resource::group("g"), key, value }).unwrap();
        }
        let config = ConsumerConfig::default();
        assert_eq!(config.session_timeout_of("g", &image), Duration::from_secs(50));
        assert_eq!(config.session_timeout_of("other", &image), Duration::from_secs(45));
        assert_eq!(
            config.heartbeat_interval_of("g", &image),
            Duration::from_secs(5),
            "the least that the broker allows"
        );
    }

    #[test]
    fn the_interval_between_targets_is_the_groups_own_or_the_clusters_or_the_brokers() {
        let mut image = Image::default();
        let config = ConsumerConfig::default();
        assert_eq!(config.assignment_interval_of("g", &image), Duration::from_secs(1));
        for (resource, key, value) in [
            (Resource::every_broker(), "group.consumer.assignment.interval.ms", "2000"),
            (Resource::group("g"), "consumer.assignment.interval.ms", "60000"),
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

    #[test]
    fn the_policies_have_kafkas_names() {
        let policy = |name| MigrationPolicy::from_name(name).map(|policy| (policy.upgrade, policy.downgrade));
        assert_eq!(policy("bidirectional"), Some((true, true)));
        assert_eq!(policy("upgrade"), Some((true, false)));
        assert_eq!(policy("downgrade"), Some((false, true)));
        assert_eq!(policy("disabled"), Some((false, false)));
        assert_eq!(policy("both"), None);
    }
}
