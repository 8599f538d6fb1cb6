//! The transaction coordinator's section of the configuration.

use std::time::Duration;

use ottla_core::config::Layers;
use ottla_core::txn::{Config, TransactionVersion};

/// Reads the section; what is absent or was refused at the start has Kafka's default.
pub fn settings(layers: &Layers<'_>) -> Config {
    let default = Config::default();
    let millis = |key, default| {
        let value = layers.broker_value(key).and_then(|value| value.trim().parse().ok());
        value.map_or(default, Duration::from_millis)
    };
    Config {
        max_timeout: millis("transaction.max.timeout.ms", default.max_timeout),
        id_expiration: millis("transactional.id.expiration.ms", default.id_expiration),
        expiration_check_interval: millis(
            "transaction.remove.expired.transaction.cleanup.interval.ms",
            default.expiration_check_interval,
        ),
        append_timeout: default.append_timeout,
        version: TransactionVersion::V2,
    }
}
