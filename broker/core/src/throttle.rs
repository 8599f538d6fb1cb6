//! Limits how fast bytes are moved: a token bucket, as a pure function of time.

use std::time::Duration;

/// Lets bytes pass at a rate, with as much ahead as the rate gives in a second.
///
/// What is taken may exceed what is there, since batches are not cut; the debt is then waited off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle {
    /// Bytes a second; none for no limit.
    rate: Option<u64>,
    /// What may pass now; negative after more has passed than was there.
    available: f64,
    at: Duration,
}

impl Throttle {
    /// A full bucket at the monotonic time `now`; `rate` is in bytes a second, none for no limit.
    pub fn new(rate: Option<u64>, now: Duration) -> Self {
        Self { rate, available: rate.unwrap_or(0) as f64, at: now }
    }

    /// Changes the rate. What has been saved up stays, up to a second's worth of the new rate.
    pub fn set_rate(&mut self, rate: Option<u64>, now: Duration) {
        if rate != self.rate {
            self.fill(now);
            *self = Self { available: if self.rate.is_none() { 0.0 } else { self.available }, rate, ..*self };
            self.fill(now);
        }
    }

    /// How long to wait until anything may pass; zero if it may now.
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.fill(now);
        match self.rate {
            Some(rate) if self.available <= 0.0 => {
                Duration::try_from_secs_f64((1.0 - self.available) / rate.max(1) as f64).unwrap_or(Duration::MAX)
            }
            _ => Duration::ZERO,
        }
    }

    /// Notes that `bytes` have passed.
    pub fn take(&mut self, bytes: u64, now: Duration) {
        self.fill(now);
        if self.rate.is_some() {
            self.available -= bytes as f64;
        }
    }

    fn fill(&mut self, now: Duration) {
        let rate = self.rate.unwrap_or(0) as f64;
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.available = (self.available + elapsed * rate).min(rate);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_more_than_the_rate_passes_over_time() {
        let mut throttle = Throttle::new(Some(1000), Duration::ZERO);
        let (mut now, mut passed) = (Duration::ZERO, 0);
        while now < 20 * SECOND {
            let wait = throttle.wait(now);
            if wait.is_zero() {
                throttle.take(700, now);
                passed += 700;
            }
            now += wait.max(Duration::from_millis(1));
        }
        assert!((20_000..=22_000).contains(&passed), "{passed} bytes in 20 s, a second's worth ahead");
    }

    #[test]
    fn a_debt_is_waited_off_and_no_limit_never_waits() {
        let mut throttle = Throttle::new(Some(100), Duration::ZERO);
        throttle.take(400, Duration::ZERO);
        let wait = throttle.wait(Duration::ZERO);
        assert!(wait > 3 * SECOND && wait < 4 * SECOND, "{wait:?}");
        assert_eq!(throttle.wait(4 * SECOND), Duration::ZERO);
        throttle.set_rate(None, 4 * SECOND);
        throttle.take(u64::MAX, 4 * SECOND);
        assert_eq!(throttle.wait(4 * SECOND), Duration::ZERO);
        throttle.set_rate(Some(10), 5 * SECOND);
        throttle.take(1, 5 * SECOND);
        assert!(throttle.wait(5 * SECOND) <= SECOND);
    }
}
