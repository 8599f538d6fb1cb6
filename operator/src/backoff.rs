//! How long to wait after a failed pass: longer each time, never all at once.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use uuid::Uuid;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(60);

/// Counts the failed passes of each object since its last good one.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// Notes one more failure of `key` and says how long to wait.
    pub fn after_failure(&self, key: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.to_owned()).or_default();
        let wait = delay(*count, chance());
        *count = count.saturating_add(1);
        wait
    }

    /// Forgets the failures of `key`.
    pub fn succeeded(&self, key: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// `period`, up to a tenth more: what keeps many objects from being looked at in one breath.
pub fn spread(period: Duration) -> Duration {
    period.mul_f64(1.0 + chance() * 0.1)
}

/// The wait after `failures` earlier ones; `chance` in 0..1 picks from its upper half.
fn delay(failures: u32, chance: f64) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    whole.mul_f64(0.5 + chance / 2.0)
}

fn chance() -> f64 {
    let (_, bits) = Uuid::new_v4().as_u64_pair();
    f64::from(bits as u32) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_spread_over_half_of_it() {
        assert_eq!(delay(0, 0.0), Duration::from_millis(125));
        assert_eq!(delay(0, 1.0), Duration::from_millis(250));
        assert_eq!(delay(3, 1.0), Duration::from_secs(2));
        assert_eq!(delay(40, 1.0), LONGEST);
        assert_eq!(delay(40, 0.0), LONGEST / 2);
    }

    #[test]
    fn a_good_pass_starts_over() {
        let backoff = Backoff::default();
        for _ in 0..20 {
            backoff.after_failure("a");
        }
        assert!(backoff.after_failure("a") >= LONGEST / 2);
        backoff.succeeded("a");
        assert!(backoff.after_failure("a") <= FIRST);
    }
}
