//! The settings of a share coordinator, under Kafka's names.

use std::time::Duration;

/// What `server.properties` says of the state of share groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `share.coordinator.snapshot.update.records.per.snapshot`: after so many updates of a share partition comes a snapshot.
    pub updates_per_snapshot: u32,
    /// `share.coordinator.write.timeout.ms`: how long an answer waits for its record to be durable.
    pub append_timeout: Duration,
    /// A share partition that has not changed for so long is written anew, so that what lies before may go.
    pub cold_snapshot_interval: Duration,
    /// How often the beginning of the log that nothing needs any more is deleted.
    pub prune_interval: Duration,
}

impl Default for Config {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            updates_per_snapshot: 500,
            append_timeout: Duration::from_secs(5),
            cold_snapshot_interval: Duration::from_secs(300),
            prune_interval: Duration::from_secs(300),
        }
    }
}
