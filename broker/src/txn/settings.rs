//! The transaction coordinator's section of the configuration.

use std::time::Duration;

use ottla_core::config::Layers;
use ottla_core::txn::{Config, TransactionVersion};

/// How a producer's next transaction waits in the broker for the markers of its last one, so that its client need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// `add.partitions.to.txn.retry.backoff.ms`.
    pub backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`: how long it waits altogether.
    pub limit: Duration,
}

/// Reads the section; what is absent or was refused at the start has Kafka's default.
pub fn settings(layers: &Layers<'_>) -> Config {
    let default = Config::default();
    Config {
        max_timeout: millis(layers, "transaction.max.timeout.ms", default.max_timeout),
        id_expiration: millis(layers, "transactional.id.expiration.ms", default.id_expiration),
        expiration_check_interval: millis(
            layers,
            "transaction.remove.expired.transaction.cleanup.interval.ms",
            default.expiration_check_interval,
        ),
        append_timeout: default.append_timeout,
        version: TransactionVersion::V2,
    }
}

/// Reads how the next transaction waits for the last one.
pub fn retry(layers: &Layers<'_>) -> Retry {
    Retry {
        backoff: millis(layers, "add.partitions.to.txn.retry.backoff.ms", Duration::from_millis(20)),
        limit: millis(layers, "add.partitions.to.txn.retry.backoff.max.ms", Duration::from_millis(100)),
    }
}

fn millis(layers: &Layers<'_>, key: &str, default: Duration) -> Duration {
    let value = layers.broker_value(key).and_then(|value| value.trim().parse().ok());
    value.map_or(default, Duration::from_millis)
}
