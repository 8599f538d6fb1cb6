//! What can be configured: every key of Kafka 4.3 with type, default and range, and how layers of values combine.
//!
//! The one place that knows configuration keys: the broker reads its properties, the controller checks topic, broker
//! and group configs, DescribeConfigs answers, and the operator refuses unknown keys, all from these tables. Must not
//! read files or know who asks.

mod address;
mod broker;
mod check;
mod client_metrics;
mod group;
mod layers;
mod offset_reset;
mod topic;

pub(crate) use address::addresses;
pub use address::{ADVERTISED, ListenerAddress};
pub use broker::{BROKER, DYNAMIC_ONLY};
pub(crate) use check::list;
pub use check::{Check, InvalidValue};
pub use client_metrics::CLIENT_METRICS;
pub use group::GROUP;
pub use layers::{Entry, Layers, Source, Synonym};
pub use offset_reset::OffsetReset;
pub use topic::TOPIC;

/// The type of a value, as DescribeConfigs names it (KIP-569).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// 32-bit integer.
    Int = 3,
    /// 16-bit integer.
    Short = 4,
    /// 64-bit integer.
    Long = 5,
    /// Floating point.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// The name of a Java class; kept, never loaded.
    Class = 8,
    /// A secret: never shown.
    Password = 9,
}

/// When a broker setting can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At a start of the broker only.
    ReadOnly,
    /// At any time, for one broker (KIP-226).
    PerBroker,
    /// At any time, for one broker or for all (KIP-226).
    Cluster,
}

/// One key of a broker's configuration.
#[derive(Clone, Copy, Debug)]
pub struct BrokerKey {
    /// The key.
    pub name: &'static str,
    /// Type of its value.
    pub kind: Kind,
    /// Value when nothing sets it; `None` is null.
    pub default: Option<&'static str>,
    /// What values are valid.
    pub check: Check,
    /// When it can change.
    pub mode: Mode,
    /// Whether Ottla acts on it; other keys of Kafka are taken with a warning.
    pub used: bool,
}

/// One key of the configuration of a topic, a group or a subscription to metrics of clients.
#[derive(Clone, Copy, Debug)]
pub struct ResourceKey {
    /// The key.
    pub name: &'static str,
    /// Type of its value.
    pub kind: Kind,
    /// Value when neither the resource nor a broker sets it.
    pub default: &'static str,
    /// What values are valid.
    pub check: Check,
    /// The broker key that gives the default, if any.
    pub broker_key: Option<&'static str>,
}

/// The broker key of that name.
pub fn broker_key(name: &str) -> Option<&'static BrokerKey> {
    BROKER.iter().chain(DYNAMIC_ONLY).find(|key| key.name == name)
}

/// The topic key of that name.
pub fn topic_key(name: &str) -> Option<&'static ResourceKey> {
    TOPIC.iter().find(|key| key.name == name)
}

/// The group key of that name.
pub fn group_key(name: &str) -> Option<&'static ResourceKey> {
    GROUP.iter().find(|key| key.name == name)
}

/// The key of that name of a subscription to metrics of clients.
pub fn client_metrics_key(name: &str) -> Option<&'static ResourceKey> {
    CLIENT_METRICS.iter().find(|key| key.name == name)
}

/// Broker keys whose other names say the same in another unit, strongest first, with what a value is multiplied by.
pub fn broker_aliases(name: &str) -> &'static [(&'static str, i64)] {
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 3_600_000;
    match name {
        "log.retention.ms" => {
            &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE), ("log.retention.hours", HOUR)]
        }
        "log.roll.ms" => &[("log.roll.ms", 1), ("log.roll.hours", HOUR)],
        "log.roll.jitter.ms" => &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR)],
        "log.flush.interval.ms" => &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        _ => &[],
    }
}

/// The known key that `name` was most likely meant to be, if one is near enough to name in an error.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 2.max(name.len() / 4);
    known.map(|key| (distance(name, key), key)).filter(|(d, _)| *d <= limit).min().map(|(_, key)| key)
}

/// Levenshtein distance in bytes; names are short and ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substitution = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_check() {
        for key in BROKER {
            if let Some(default) = key.default {
                key.check.value(key.name, key.kind, default).unwrap();
            }
        }
        for key in TOPIC.iter().chain(GROUP).chain(CLIENT_METRICS) {
            key.check.value(key.name, key.kind, key.default).unwrap();
        }
    }

    #[test]
    fn keys_are_listed_once_and_defaults_come_from_known_broker_keys() {
        for table in [TOPIC, GROUP, CLIENT_METRICS] {
            for key in table {
                assert_eq!(table.iter().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
            }
        }
        let broker = || BROKER.iter().chain(DYNAMIC_ONLY);
        for key in broker() {
            assert_eq!(broker().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
        }
        for key in TOPIC {
            assert!(key.broker_key.is_none_or(|name| broker_key(name).is_some()), "{}", key.name);
        }
    }

    #[test]
    fn a_misspelt_key_leads_to_the_one_that_was_meant() {
        let known = || BROKER.iter().map(|key| key.name);
        assert_eq!(nearest("log.dir.s", known()), Some("log.dirs"));
        assert_eq!(nearest("num.partition", known()), Some("num.partitions"));
        assert_eq!(nearest("completely.different.thing", known()), None);
    }
}
