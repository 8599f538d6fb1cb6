//! Subscriptions: what is configured, and what it comes to for one client.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use fnv::FnvHasher;
use uuid::Uuid;

use super::client::{Client, Selectors};
use crate::config::{InvalidValue, client_metrics_key, list};

/// What is set on a subscription.
type Values = BTreeMap<String, String>;

/// How often clients push that no subscription is about, or none that says how often.
const DEFAULT_INTERVAL_MS: u64 = 300_000;

/// The name that stands for all metrics.
const ALL_METRICS: &str = "*";

/// Why a subscription cannot be configured so; worded as Kafka words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No key of a subscription.
    #[error("Unknown client metrics configuration: {0}")]
    Key(String),
    /// A value that is not of its key's type.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// Too often or too seldom.
    #[error("Invalid value {0} for interval.ms, interval must be between 100 and 3600000 (1 hour)")]
    Interval(String),
    /// No selector of clients.
    #[error("Illegal client matching pattern: {0}")]
    Pattern(String),
}

/// Whether a subscription may be configured so.
pub fn check(values: &Values) -> Result<(), Invalid> {
    Subscription::read(values).map(drop)
}

/// What is wanted of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Names this offer to this client: the same on every broker that knows the same subscriptions.
    pub subscription_id: i32,
    /// Prefixes of the names of metrics; none for no metrics, `*` alone for all.
    pub metrics: BTreeSet<String>,
    /// The time between pushes, in whole milliseconds.
    pub push_interval: Duration,
}

#[derive(Clone, Debug)]
struct Subscription {
    metrics: BTreeSet<String>,
    interval: Duration,
    selectors: Selectors,
}

impl Subscription {
    fn read(values: &Values) -> Result<Self, Invalid> {
        for (name, value) in values {
            let key = client_metrics_key(name).ok_or_else(|| Invalid::Key(name.clone()))?;
            key.check.value(key.name, key.kind, value)?;
        }
        let interval = match values.get("interval.ms").map(|value| value.trim()) {
            None => DEFAULT_INTERVAL_MS,
            Some(value) => {
                let number = value.parse().ok().filter(|number| (100..=3_600_000).contains(number));
                number.ok_or_else(|| Invalid::Interval(value.to_owned()))?
            }
        };
        let value = |key| values.get(key).map_or("", String::as_str);
        Ok(Self {
            metrics: list(value("metrics")).map(str::to_owned).collect(),
            interval: Duration::from_millis(interval),
            selectors: Selectors::parse(value("match")).map_err(Invalid::Pattern)?,
        })
    }
}

/// All subscriptions.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions(Vec<Subscription>);

impl Subscriptions {
    /// Those that are configured. Each was checked when it was set; what another version took and this one does not is
    /// left out.
    pub(super) fn read(configured: &BTreeMap<String, Arc<Values>>) -> Self {
        Self(configured.values().filter_map(|values| Subscription::read(values).ok()).collect())
    }

    /// What is wanted of `client`: what any subscription wants, as often as the most eager one.
    pub(super) fn offer(&self, instance: Uuid, client: &Client) -> Offer {
        let mut metrics = BTreeSet::new();
        let mut push_interval = Duration::from_millis(DEFAULT_INTERVAL_MS);
        for subscription in self.0.iter().filter(|subscription| subscription.selectors.select(client)) {
            metrics.extend(subscription.metrics.iter().cloned());
            push_interval = push_interval.min(subscription.interval);
        }
        if metrics.contains(ALL_METRICS) {
            metrics = BTreeSet::from([ALL_METRICS.to_owned()]);
        }
        let subscription_id = id(instance, &metrics, push_interval);
        Offer { subscription_id, metrics, push_interval }
    }
}

/// A number of what is wanted, mixed with who is asked. A client may push to another broker than it asked, so this must
/// be the same in every process.
fn id(instance: Uuid, metrics: &BTreeSet<String>, push_interval: Duration) -> i32 {
    let mut hasher = FnvHasher::default();
    for name in metrics {
        hasher.write(name.as_bytes());
        hasher.write_u8(b',');
    }
    hasher.write(&push_interval.as_millis().to_be_bytes());
    hasher.write(instance.as_bytes());
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as i32
}
