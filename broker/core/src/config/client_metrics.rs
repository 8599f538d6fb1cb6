//! The keys of a subscription to metrics of clients (KIP-714). What their values have to be beyond their type is said in
//! [`crate::client_metrics`].

use super::{Check, Kind, ResourceKey};

const fn key(name: &'static str, kind: Kind, default: &'static str) -> ResourceKey {
    ResourceKey { name, kind, default, check: Check::Any, broker_key: None }
}

/// The keys, in the order in which a Kafka broker lists them.
pub const CLIENT_METRICS: &[ResourceKey] =
    &[key("interval.ms", Kind::Int, "300000"), key("match", Kind::List, ""), key("metrics", Kind::List, "")];
