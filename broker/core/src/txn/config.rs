//! The settings of a transaction coordinator, under Kafka's names.

use std::time::Duration;

use super::TransactionVersion;

/// What `server.properties` and the finalized features say about transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `transaction.max.timeout.ms`: the longest time-out a producer may ask for.
    pub max_timeout: Duration,
    /// `transactional.id.expiration.ms`: how long an id without an open transaction is remembered.
    pub id_expiration: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiration_check_interval: Duration,
    /// How long an answer waits for its record to be durable (`request.timeout.ms`).
    pub append_timeout: Duration,
    /// The finalized `transaction.version`: by its rules the coordinator ends transactions of its own accord.
    pub version: TransactionVersion,
}

impl Default for Config {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            max_timeout: Duration::from_secs(900),
            id_expiration: Duration::from_secs(7 * 24 * 3600),
            expiration_check_interval: Duration::from_secs(3600),
            append_timeout: Duration::from_secs(30),
            version: TransactionVersion::V2,
        }
    }
}
