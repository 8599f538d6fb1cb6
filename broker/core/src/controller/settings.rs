//! The controller's own configuration: what the broker's properties say where neither topic nor cluster does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{BROKER, Layers};
use crate::metadata::{Image, Resource};
use crate::quota::Windows;

/// The properties of the broker that the controller runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    fixed: BTreeMap<String, String>,
}

impl Settings {
    /// The settings that a broker's checked properties give.
    pub fn new(properties: BTreeMap<String, String>) -> Self {
        Self { fixed: properties }
    }

    /// The number that broker key `key` has without any dynamic value. `key` must be a number of the table.
    pub(super) fn number<T: std::str::FromStr>(&self, key: &str) -> T {
        let default = || BROKER.iter().find(|one| one.name == key).and_then(|one| one.default);
        let value = self.fixed.get(key).map(String::as_str).or_else(default);
        let number = value.and_then(|value| value.trim().parse().ok());
        number.expect("properties are checked at start, and defaults by a test")
    }

    /// min.insync.replicas where neither topic nor cluster sets it.
    pub fn min_insync_replicas(&self) -> usize {
        self.number("min.insync.replicas")
    }

    /// broker.session.timeout.ms: how long a broker may be silent.
    pub fn session_timeout(&self) -> Duration {
        Duration::from_millis(self.number("broker.session.timeout.ms"))
    }

    /// broker.heartbeat.interval.ms: how often a broker says that it lives.
    pub fn heartbeat_interval(&self) -> Duration {
        Duration::from_millis(self.number("broker.heartbeat.interval.ms"))
    }

    /// leader.imbalance.check.interval.seconds: how often leaders go back to preferred replicas; `None` where
    /// auto.leader.rebalance.enable is false.
    pub fn balance_interval(&self) -> Option<Duration> {
        let enabled = self
            .fixed
            .get("auto.leader.rebalance.enable")
            .is_none_or(|value| !value.trim().eq_ignore_ascii_case("false"));
        enabled.then(|| Duration::from_secs(self.number("leader.imbalance.check.interval.seconds")))
    }

    /// controller.quota.window.num and .size.seconds: how much of their quotas of mutations clients may save up.
    pub fn mutation_windows(&self) -> Windows {
        Windows {
            count: self.number("controller.quota.window.num"),
            length: Duration::from_secs(self.number("controller.quota.window.size.seconds")),
        }
    }

    /// The value that holds for every broker's key, the cluster first, then the properties; `None` is null.
    pub(super) fn broker_value(&self, image: &Image, key: &str) -> Option<String> {
        let none = BTreeMap::new();
        let cluster = image.config(&Resource::every_broker());
        let layers = Layers { broker: &none, cluster: cluster.map_or(&none, |config| config), fixed: &self.fixed };
        layers.broker_value(key)
    }

    /// Whether `ottla.durability` of `topic` is `fsync`.
    pub(super) fn is_fsync(&self, image: &Image, topic: &str) -> bool {
        self.topic_value(image, topic, "ottla.durability") == "fsync"
    }

    /// The value that holds for a topic's key, topic first, then the cluster, then the properties.
    pub(super) fn topic_value(&self, image: &Image, topic: &str, key: &str) -> String {
        let none = BTreeMap::new();
        let cluster = image.config(&Resource::every_broker());
        let layers = Layers { broker: &none, cluster: cluster.map_or(&none, |config| config), fixed: &self.fixed };
        let own = image.config(&Resource::topic(topic));
        layers.topic_value(key, own.map_or(&none, |config| config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_the_controller_asks_for_has_a_default() {
        let settings = Settings::default();
        assert_eq!(settings.min_insync_replicas(), 1);
        assert_eq!(settings.session_timeout(), Duration::from_secs(3));
        assert_eq!(settings.heartbeat_interval(), Duration::from_millis(500));
        assert_eq!(settings.balance_interval(), Some(Duration::from_secs(5)));
        assert_eq!(settings.mutation_windows(), Windows::default());
        assert_eq!(settings.number::<i32>("num.partitions"), 1);
        assert_eq!(settings.number::<i16>("default.replication.factor"), 1);
        assert_eq!(settings.number::<i32>("offsets.topic.num.partitions"), 50);
        assert_eq!(settings.number::<i32>("offsets.topic.segment.bytes"), 104_857_600);
        assert!(settings.number::<i16>("offsets.topic.replication.factor") >= 1);
        assert_eq!(settings.number::<i32>("transaction.state.log.num.partitions"), 50);
        assert_eq!(settings.number::<i32>("transaction.state.log.segment.bytes"), 104_857_600);
        assert!(settings.number::<i32>("transaction.state.log.min.isr") >= 1);
        assert!(settings.number::<i16>("transaction.state.log.replication.factor") >= 1);
    }
}
