//! What the logs and reads of them heed of the broker's own configuration.

use std::str::FromStr;
use std::time::Duration;

use ottla_core::config::Layers;

/// Limits and intervals of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// `ottla.free.space.reserve.bytes`: what appends leave free in each log directory. May change at any time.
    pub free_space_reserve: u64,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub checkpoint_interval: Duration,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `fetch.max.bytes`: the most that one fetch is answered.
    pub fetch_max_bytes: usize,
}

impl Storage {
    /// Reads the settings. Every value has been checked before; keys that are not given have their default.
    pub fn read(layers: &Layers<'_>) -> Self {
        Self {
            free_space_reserve: number(layers, "ottla.free.space.reserve.bytes", 64 << 20),
            recovery_threads: number(layers, "num.recovery.threads.per.data.dir", 2),
            checkpoint_interval: interval(layers, "log.flush.offset.checkpoint.interval.ms", 60_000),
            retention_check_interval: interval(layers, "log.retention.check.interval.ms", 300_000),
            fetch_max_bytes: number(layers, "fetch.max.bytes", 55 << 20),
        }
    }
}

fn number<T: FromStr>(layers: &Layers<'_>, key: &str, default: T) -> T {
    layers.broker_value(key).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
}

/// An interval in milliseconds; 0 is taken as 1, since what is done all the time leaves no time for anything else.
fn interval(layers: &Layers<'_>, key: &str, default: u64) -> Duration {
    Duration::from_millis(number(layers, key, default).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_not_given_is_kafkas_default_and_a_dynamic_value_wins() {
        let none = BTreeMap::new();
        let defaults = Storage::read(&Layers { broker: &none, cluster: &none, fixed: &none });
        let expected = Storage {
            free_space_reserve: 64 << 20,
            recovery_threads: 2,
            checkpoint_interval: Duration::from_secs(60),
            retention_check_interval: Duration::from_secs(300),
            fetch_max_bytes: 55 << 20,
        };
        assert_eq!(defaults, expected);
        let values = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let fixed = values("ottla.free.space.reserve.bytes", "5");
        let cluster = values("ottla.free.space.reserve.bytes", "7");
        let changed = Storage::read(&Layers { broker: &none, cluster: &cluster, fixed: &fixed });
        assert_eq!(changed.free_space_reserve, 7);
    }
}
