//! What the log cleaner heeds: its settings, its pace, and the logs that it leaves alone. The rules of a clean are
//! ottla-storage's; which log is next, the manager says.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use ottla_core::config::Layers;
use ottla_core::throttle::Throttle;
use ottla_storage::CleanLimits;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// The longest that a clean which is held back does not look whether it is to end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the configuration says of the cleaner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerSettings {
    /// `log.cleaner.enable`.
    pub is_enabled: bool,
    /// `log.cleaner.backoff.ms`: from one look at the logs to the next, when nothing was due.
    pub backoff: Duration,
    /// `log.cleaner.io.max.bytes.per.second`, read and written together; none for no limit.
    pub rate: Option<u64>,
    /// What one clean may use.
    pub limits: CleanLimits,
}

impl CleanerSettings {
    /// The settings in `layers`. Every value has been checked before it was stored.
    pub fn read(layers: &Layers<'_>) -> Self {
        let text = |key: &str| layers.broker_value(key).unwrap_or_default();
        let number = |key: &str, default: f64| text(key).trim().parse::<f64>().unwrap_or(default);
        let rate = number("log.cleaner.io.max.bytes.per.second", f64::MAX);
        Self {
            is_enabled: !text("log.cleaner.enable").trim().eq_ignore_ascii_case("false"),
            backoff: Duration::from_millis(number("log.cleaner.backoff.ms", 15_000.0) as u64),
            rate: (rate < u64::MAX as f64).then_some(rate as u64),
            limits: CleanLimits {
                dedupe_buffer: number("log.cleaner.dedupe.buffer.size", 134_217_728.0) as usize,
                load_factor: number("log.cleaner.io.buffer.load.factor", 0.9),
                io_buffer: number("log.cleaner.io.buffer.size", 524_288.0) as usize,
            },
        }
    }
}

/// The state of the cleaner.
pub(super) struct Cleaner {
    settings: RwLock<CleanerSettings>,
    changed: Notify,
    throttle: Mutex<Throttle>,
    /// Logs whose clean failed, by the handles of their partitions.
    set_aside: Mutex<HashSet<u64>>,
}

impl Cleaner {
    pub(super) fn new(settings: CleanerSettings) -> Self {
        let throttle = Mutex::new(Throttle::new(settings.rate, Duration::ZERO));
        Self { settings: RwLock::new(settings), changed: Notify::new(), throttle, set_aside: Mutex::default() }
    }

    pub(super) fn settings(&self) -> CleanerSettings {
        *self.settings.read()
    }

    /// Other settings, under which a clean that failed may succeed.
    pub(super) fn configure(&self, settings: CleanerSettings, clock: &Clock) {
        if std::mem::replace(&mut *self.settings.write(), settings) == settings {
            return;
        }
        self.throttle.lock().set_rate(settings.rate, clock.now().monotonic);
        self.set_aside.lock().clear();
        self.changed.notify_one();
    }

    /// Resolves when the settings have changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Notes that a clean has moved `bytes`, and holds it back as long as the rate says. On a thread of its own.
    pub(super) fn pace(&self, bytes: u64, clock: &Clock, stop: &CancellationToken) -> ControlFlow<()> {
        self.throttle.lock().take(bytes, clock.now().monotonic);
        loop {
            if stop.is_cancelled() {
                return ControlFlow::Break(());
            }
            let wait = self.throttle.lock().wait(clock.now().monotonic);
            if wait.is_zero() {
                return ControlFlow::Continue(());
            }
            std::thread::sleep(wait.min(LOOK_AGAIN));
        }
    }

    pub(super) fn set_aside(&self, handle: u64) {
        self.set_aside.lock().insert(handle);
    }

    pub(super) fn is_set_aside(&self, handle: u64) -> bool {
        self.set_aside.lock().contains(&handle)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> CleanerSettings {
        let none = BTreeMap::new();
        let cluster = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        CleanerSettings::read(&Layers { broker: &none, cluster: &cluster, fixed: &none })
    }

    #[test]
    fn the_defaults_are_kafkas() {
        let limits = CleanLimits { dedupe_buffer: 128 << 20, load_factor: 0.9, io_buffer: 512 << 10 };
        let expected = CleanerSettings { is_enabled: true, backoff: Duration::from_secs(15), rate: None, limits };
        assert_eq!(settings(&[]), expected);
        let slow = settings(&[("log.cleaner.io.max.bytes.per.second", "1048576.5"), ("log.cleaner.enable", "false")]);
        assert_eq!(slow, CleanerSettings { is_enabled: false, rate: Some(1_048_576), ..expected });
    }

    #[test]
    fn a_clean_is_held_back_by_its_rate_and_ends_when_it_is_told_to() {
        let (clock, stop) = (Clock::new(), CancellationToken::new());
        let cleaner = Cleaner::new(settings(&[("log.cleaner.io.max.bytes.per.second", "1000000")]));
        let begun = clock.now().monotonic;
        assert!(cleaner.pace(1_100_000, &clock, &stop).is_continue());
        assert!(clock.now().monotonic - begun >= Duration::from_millis(90), "a tenth of a second beyond the bucket");
        stop.cancel();
        assert!(cleaner.pace(u64::MAX, &clock, &stop).is_break());
    }

    #[tokio::test]
    async fn what_was_set_aside_is_tried_again_under_other_settings() {
        let (clock, before) = (Clock::new(), settings(&[]));
        let cleaner = Cleaner::new(before);
        cleaner.set_aside(7);
        cleaner.configure(before, &clock);
        assert!(cleaner.is_set_aside(7));
        cleaner.configure(settings(&[("log.cleaner.dedupe.buffer.size", "1000000")]), &clock);
        assert!(!cleaner.is_set_aside(7));
        cleaner.changed().await;
    }
}
