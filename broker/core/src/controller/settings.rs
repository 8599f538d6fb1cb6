//! The controller's own configuration: what the broker's properties say where neither topic nor cluster does.

use std::collections::BTreeMap;

use crate::config::{BROKER, Layers};
use crate::metadata::{Image, Resource};

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

    /// The value that holds for every broker's key, the cluster first, then the properties; `None` is null.
    pub(super) fn broker_value(&self, image: &Image, key: &str) -> Option<String> {
        let none = BTreeMap::new();
        let cluster = image.config(&Resource::every_broker());
        let layers = Layers { broker: &none, cluster: cluster.map_or(&none, |config| config), fixed: &self.fixed };
        layers.broker_value(key)
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
