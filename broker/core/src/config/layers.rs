//! How the value of a key comes about: resource, then dynamic per broker, dynamic for all, file, default; with the
//! synonyms that DescribeConfigs lists (KIP-226).

use std::collections::BTreeMap;

use super::{
    BROKER, BrokerKey, CLIENT_METRICS, DYNAMIC_ONLY, GROUP, Kind, Mode, ResourceKey, TOPIC, broker_aliases, broker_key,
    topic_key,
};

/// Values of one layer by key.
type Values = BTreeMap<String, String>;

/// Where a value comes from, numbered as DescribeConfigs does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum Source {
    /// Set on the topic.
    Topic = 1,
    /// Set on this broker at run time.
    Broker = 2,
    /// Set for all brokers at run time.
    ClusterDefault = 3,
    /// In the broker's properties.
    Static = 4,
    /// Nothing sets it.
    Default = 5,
    /// Set on the subscription to metrics of clients.
    ClientMetrics = 7,
    /// Set on the group.
    Group = 8,
}

/// A value that counts, or would count if the stronger ones were unset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The key, which may be another name of the one asked for.
    pub name: &'static str,
    /// Its value.
    pub value: Option<String>,
    /// Where it is set.
    pub source: Source,
}

/// A key with the value that holds, as DescribeConfigs answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub name: &'static str,
    /// The value that holds; `None` when null or secret.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// Type of the value.
    pub kind: Kind,
    /// Cannot be changed at run time.
    pub read_only: bool,
    /// A secret.
    pub sensitive: bool,
    /// All that set it, strongest first.
    pub synonyms: Vec<Synonym>,
}

/// The values that a broker knows, layer by layer.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// Dynamic values of this broker.
    pub broker: &'a Values,
    /// Dynamic values for all brokers.
    pub cluster: &'a Values,
    /// The broker's properties.
    pub fixed: &'a Values,
}

impl Layers<'_> {
    /// Every key of a topic with overrides `topic`, in table order.
    pub fn topic(&self, topic: &Values) -> Vec<Entry> {
        TOPIC.iter().map(|key| self.resource(key, topic, Source::Topic)).collect()
    }

    /// Every key of a group with overrides `group`, in table order.
    pub fn group(&self, group: &Values) -> Vec<Entry> {
        GROUP.iter().map(|key| self.resource(key, group, Source::Group)).collect()
    }

    /// Every key of a subscription to metrics of clients of which `own` are set, in table order.
    pub fn client_metrics(&self, own: &Values) -> Vec<Entry> {
        CLIENT_METRICS.iter().map(|key| self.resource(key, own, Source::ClientMetrics)).collect()
    }

    /// Every key of the broker, in table order; those that are only dynamic where they are set.
    pub fn broker(&self) -> Vec<Entry> {
        let is_set = |key: &&BrokerKey| [self.broker, self.cluster].iter().any(|layer| layer.contains_key(key.name));
        BROKER.iter().chain(DYNAMIC_ONLY.iter().filter(is_set)).map(|key| self.broker_entry(key)).collect()
    }

    /// The value that holds for a topic key. `key` must be in [`TOPIC`].
    pub fn topic_value(&self, key: &str, topic: &Values) -> String {
        let key = topic_key(key).expect("callers ask for keys of the table");
        self.resource(key, topic, Source::Topic).value.unwrap_or_default()
    }

    /// The value that holds for a broker key; `None` is null. `key` must be in [`BROKER`].
    pub fn broker_value(&self, key: &str) -> Option<String> {
        self.broker_entry(broker_key(key).expect("callers ask for keys of the table")).value
    }

    fn resource(&self, key: &ResourceKey, own: &Values, source: Source) -> Entry {
        let mut synonyms = Vec::new();
        if let Some(value) = own.get(key.name) {
            synonyms.push(Synonym { name: key.name, value: Some(value.clone()), source });
        }
        if let Some(name) = key.broker_key {
            match broker_key(name) {
                Some(broker) => synonyms.extend(self.broker_synonyms(broker, true)),
                // A group key may name a broker key that Kafka keeps internal; it has only its default.
                None => synonyms.push(default_of(name, Some(key.default))),
            }
        }
        let holds = synonyms.first();
        Entry {
            name: key.name,
            value: Some(holds.and_then(|s| s.value.clone()).unwrap_or_else(|| key.default.to_owned())),
            source: holds.map_or(Source::Default, |s| s.source),
            kind: key.kind,
            read_only: false,
            sensitive: key.kind == Kind::Password,
            synonyms,
        }
    }

    fn broker_entry(&self, key: &BrokerKey) -> Entry {
        let synonyms = self.broker_synonyms(key, false);
        let sensitive = key.kind == Kind::Password;
        let holds = synonyms.first();
        Entry {
            name: key.name,
            value: holds.and_then(|s| s.value.clone()).filter(|_| !sensitive),
            source: holds.map_or(Source::Default, |s| s.source),
            kind: key.kind,
            read_only: key.mode == Mode::ReadOnly,
            sensitive,
            synonyms: synonyms.into_iter().map(|s| if sensitive { Synonym { value: None, ..s } } else { s }).collect(),
        }
    }

    /// All that set a broker key. With `in_milliseconds`, values of its aliases in other units are converted.
    fn broker_synonyms(&self, key: &BrokerKey, in_milliseconds: bool) -> Vec<Synonym> {
        let aliases = match broker_aliases(key.name) {
            [] => &[(key.name, 1)],
            aliases => aliases,
        };
        let layers =
            [(self.broker, Source::Broker), (self.cluster, Source::ClusterDefault), (self.fixed, Source::Static)];
        let mut synonyms = Vec::new();
        for &(name, factor) in aliases {
            let Some(alias) = broker_key(name) else { continue };
            for (values, source) in layers {
                if let Some(value) = values.get(name) {
                    let value = if in_milliseconds { scaled(value, factor) } else { value.clone() };
                    synonyms.push(Synonym { name: alias.name, value: Some(value), source });
                }
            }
        }
        if let Some(default) = key.default {
            synonyms.push(default_of(key.name, Some(default)));
        }
        synonyms
    }
}

fn default_of(name: &'static str, value: Option<&str>) -> Synonym {
    Synonym { name, value: value.map(str::to_owned), source: Source::Default }
}

/// `value` in milliseconds; negative values mean "no limit" in every unit and stay.
fn scaled(value: &str, factor: i64) -> String {
    match value.trim().parse::<i64>() {
        Ok(number) if number >= 0 => number.saturating_mul(factor).to_string(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn entry(entries: &[Entry], name: &str) -> Entry {
        entries.iter().find(|e| e.name == name).unwrap().clone()
    }

    #[test]
    fn the_strongest_layer_holds_and_all_are_listed() {
        let (topic, broker, cluster, fixed) = (
            values(&[("max.message.bytes", "4")]),
            values(&[("message.max.bytes", "3")]),
            values(&[("message.max.bytes", "2")]),
            values(&[("message.max.bytes", "1")]),
        );
        let layers = Layers { broker: &broker, cluster: &cluster, fixed: &fixed };
        let found = entry(&layers.topic(&topic), "max.message.bytes");
        assert_eq!((found.value.as_deref(), found.source), (Some("4"), Source::Topic));
        let sources: Vec<_> = found.synonyms.iter().map(|s| (s.name, s.source)).collect();
        assert_eq!(
            sources,
            [
                ("max.message.bytes", Source::Topic),
                ("message.max.bytes", Source::Broker),
                ("message.max.bytes", Source::ClusterDefault),
                ("message.max.bytes", Source::Static),
                ("message.max.bytes", Source::Default),
            ]
        );
    }

    #[test]
    fn retention_in_hours_gives_a_topic_its_milliseconds() {
        let (none, fixed) = (Values::new(), values(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]));
        let layers = Layers { broker: &none, cluster: &none, fixed: &fixed };
        assert_eq!(layers.topic_value("retention.ms", &none), "180000");
        let unset = Layers { broker: &none, cluster: &none, fixed: &none };
        assert_eq!(unset.topic_value("retention.ms", &none), "604800000");
        assert_eq!(entry(&unset.topic(&none), "retention.ms").synonyms, []);
    }

    #[test]
    fn a_throttle_is_listed_while_it_is_set() {
        let (none, broker) = (Values::new(), values(&[("leader.replication.throttled.rate", "1000")]));
        let layers = Layers { broker: &broker, cluster: &none, fixed: &none };
        let found = entry(&layers.broker(), "leader.replication.throttled.rate");
        assert_eq!((found.value.as_deref(), found.source, found.read_only), (Some("1000"), Source::Broker, false));
        let unset = Layers { broker: &none, ..layers }.broker();
        assert!(unset.iter().all(|entry| !entry.name.contains("throttled")));
    }

    #[test]
    fn secrets_are_never_shown() {
        let (none, fixed) = (Values::new(), values(&[("ssl.key.password", "hush")]));
        let layers = Layers { broker: &none, cluster: &none, fixed: &fixed };
        let found = entry(&layers.broker(), "ssl.key.password");
        assert!(found.sensitive && found.value.is_none() && found.synonyms.iter().all(|s| s.value.is_none()));
    }
}
