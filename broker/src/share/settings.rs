//! The share groups' section of the configuration.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ottla_core::config::{Layers, OffsetReset};
use ottla_core::metadata::{Image, Resource};
use ottla_core::share::{partition, state};

/// Reads what concerns the coordinators; what is absent or was refused at the start has Kafka's default.
pub fn state_settings(layers: &Layers<'_>) -> state::Config {
    let default = state::Config::default();
    state::Config {
        updates_per_snapshot: number(layers, "share.coordinator.snapshot.update.records.per.snapshot")
            .unwrap_or(default.updates_per_snapshot),
        append_timeout: number(layers, "share.coordinator.write.timeout.ms")
            .map_or(default.append_timeout, Duration::from_millis),
        ..default
    }
}

/// What a broker says of delivery, and how far a group may differ from it.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    delivery_count: u16,
    delivery_counts: RangeInclusive<u16>,
    lock_millis: u64,
    lock_millis_range: RangeInclusive<u64>,
    record_locks: u32,
    record_locks_range: RangeInclusive<u32>,
    /// `group.share.max.share.sessions`.
    pub max_sessions: usize,
}

/// What a group reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How its records are delivered.
    pub delivery: partition::Config,
    /// `share.isolation.level` is `read_committed`.
    pub is_committed: bool,
    /// `share.auto.offset.reset`: where delivery begins that nobody has begun.
    pub reset: OffsetReset,
}

impl DeliverySettings {
    /// Reads the section.
    pub fn read(layers: &Layers<'_>) -> Self {
        let or = |key, default: u64| number(layers, key).unwrap_or(default);
        let small = |key, default: u16| number(layers, key).unwrap_or(default);
        let count = |key, default: u32| number(layers, key).unwrap_or(default);
        Self {
            delivery_count: small("group.share.delivery.count.limit", 5),
            delivery_counts: small("group.share.min.delivery.count.limit", 2)
                ..=small("group.share.max.delivery.count.limit", 10),
            lock_millis: or("group.share.record.lock.duration.ms", 30_000),
            lock_millis_range: or("group.share.min.record.lock.duration.ms", 15_000)
                ..=or("group.share.max.record.lock.duration.ms", 60_000),
            record_locks: count("group.share.partition.max.record.locks", 2000),
            record_locks_range: count("group.share.min.partition.max.record.locks", 100)
                ..=count("group.share.max.partition.max.record.locks", 4000),
            max_sessions: number(layers, "group.share.max.share.sessions").unwrap_or(2000),
        }
    }

    /// What holds for `group`: what it sets itself, within what the broker allows, else what the broker says.
    pub fn of_group(&self, group: &str, image: &Image) -> Reading {
        let resource = Resource::group(group);
        let own = |key| image.config_value(&resource, key).map(str::trim);
        let delivery_count = within(own("share.delivery.count.limit"), &self.delivery_counts, self.delivery_count);
        let lock = within(own("share.record.lock.duration.ms"), &self.lock_millis_range, self.lock_millis);
        let locks = within(own("share.partition.max.record.locks"), &self.record_locks_range, self.record_locks);
        Reading {
            delivery: partition::Config {
                max_deliveries: delivery_count,
                lock_duration: Duration::from_millis(lock),
                max_in_flight: locks,
                may_renew: own("share.renew.acknowledge.enable").is_none_or(|text| text.eq_ignore_ascii_case("true")),
            },
            is_committed: own("share.isolation.level").is_some_and(|text| text.eq_ignore_ascii_case("read_committed")),
            reset: own("share.auto.offset.reset").and_then(OffsetReset::parse).unwrap_or_default(),
        }
    }
}

fn within<T: FromStr + Ord + Copy>(own: Option<&str>, range: &RangeInclusive<T>, default: T) -> T {
    let own: Option<T> = own.and_then(|text| text.parse().ok());
    own.map_or(default, |own| own.max(*range.start()).min(*range.end()))
}

fn number<T: FromStr>(layers: &Layers<'_>, key: &str) -> Option<T> {
    layers.broker_value(key)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ottla_core::metadata::Record;

    use super::*;

    #[test]
    fn a_group_sets_its_own_delivery_within_the_brokers_range() {
        let none = BTreeMap::new();
        let settings = DeliverySettings::read(&Layers { broker: &none, cluster: &none, fixed: &none });
        let mut image = Image::default();
        assert_eq!(settings.of_group("g", &image).delivery, partition::Config::default());
        for (key, value) in [
            ("share.delivery.count.limit", "100"),
            ("share.record.lock.duration.ms", "20000"),
            ("share.partition.max.record.locks", "1"),
            ("share.renew.acknowledge.enable", "false"),
            ("share.isolation.level", "read_committed"),
            ("share.auto.offset.reset", "by_duration:PT1M"),
        ] {
            let (key, value) = (key.to_owned(), Some(value.to_owned()));
            image.apply(&Record::ConfigChanged { resource: Resource::group("g"), key, value }).unwrap();
        }
        let lock_duration = Duration::from_secs(20);
        let reset = OffsetReset::ByDuration(Duration::from_secs(60));
        let delivery = partition::Config { max_deliveries: 10, lock_duration, max_in_flight: 100, may_renew: false };
        assert_eq!(settings.of_group("g", &image), Reading { delivery, is_committed: true, reset });
    }
}
