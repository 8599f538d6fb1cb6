//! A rate over windows of time, as Kafka measures it (`quota.window.num`, `quota.window.size.seconds`).

use std::collections::VecDeque;
use std::time::Duration;

use super::entity::Limit;

/// How a rate is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// `quota.window.num`: the windows that are looked at, the one that fills included; at least one.
    pub count: u32,
    /// `quota.window.size.seconds`; not zero.
    pub length: Duration,
}

impl Default for Windows {
    /// Kafka's: ten whole windows of a second, and the one that fills.
    fn default() -> Self {
        Self { count: 11, length: Duration::from_secs(1) }
    }
}

impl Windows {
    /// The whole windows together. One that was quiet may use at once what it may use in so much time.
    pub fn whole(&self) -> Duration {
        self.length * self.count.saturating_sub(1)
    }

    /// All of them together: what was used longer ago counts no more.
    pub(super) fn all(&self) -> Duration {
        self.length * self.count
    }

    /// The time that a rate is over whose oldest window began `elapsed` ago: as if there had been whole windows before it
    /// in which nothing was used.
    fn over(&self, elapsed: Duration) -> Duration {
        let in_current = Duration::from_nanos((elapsed.as_nanos() % self.length.as_nanos()) as u64);
        elapsed.max(self.whole() + in_current)
    }
}

/// What was used in a time.
#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Duration,
    /// When something was used in it last.
    last: Duration,
    used: f64,
}

/// What was used of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate {
    /// The oldest first.
    windows: VecDeque<Window>,
}

impl Rate {
    /// Notes that `amount` was used, or if negative, that so much was not.
    pub(super) fn add(&mut self, amount: f64, windows: Windows, now: Duration) {
        self.forget(windows, now);
        match self.windows.back_mut().filter(|window| now < window.begin + windows.length) {
            Some(window) => {
                window.used += amount;
                window.last = now;
            }
            None => self.windows.push_back(Window { begin: now, last: now, used: amount }),
        }
    }

    /// How long it takes, with nothing used meanwhile, until no more than `limit` a second was used; zero if it is so now.
    pub(super) fn excess(&mut self, limit: Limit, windows: Windows, now: Duration) -> Duration {
        self.forget(windows, now);
        let Some(oldest) = self.windows.front() else { return Duration::ZERO };
        let used: f64 = self.windows.iter().map(|window| window.used).sum();
        // Kafka's (rate - limit) / limit * time.
        let allowed_after = Duration::try_from_secs_f64(used.max(0.0) / limit.get()).unwrap_or(Duration::MAX);
        allowed_after.saturating_sub(windows.over(now.saturating_sub(oldest.begin)))
    }

    /// Whether nothing of it counts any more.
    pub(super) fn is_over(&self, windows: Windows, now: Duration) -> bool {
        self.windows.back().is_none_or(|window| window.last + windows.all() <= now)
    }

    fn forget(&mut self, windows: Windows, now: Duration) {
        while self.windows.front().is_some_and(|window| window.last + windows.all() <= now) {
            self.windows.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn kafkas() -> Windows {
        Windows::default()
    }

    fn limit(per_second: f64) -> Limit {
        per_second.try_into().unwrap()
    }

    #[test]
    fn one_that_was_quiet_may_use_what_ten_windows_allow_at_once() {
        let mut rate = Rate::default();
        rate.add(10_000.0, kafkas(), SECOND);
        assert_eq!(rate.excess(limit(1000.0), kafkas(), SECOND), Duration::ZERO);
        rate.add(500.0, kafkas(), SECOND);
        assert_eq!(rate.excess(limit(1000.0), kafkas(), SECOND), Duration::from_millis(500));
        assert_eq!(rate.excess(limit(2000.0), kafkas(), SECOND), Duration::ZERO, "twice the limit");
        rate.add(-500.0, kafkas(), SECOND);
        assert_eq!(rate.excess(limit(1000.0), kafkas(), SECOND), Duration::ZERO, "taken back");
    }

    #[test]
    fn the_time_measured_over_is_that_of_the_whole_windows_and_what_has_passed_of_the_last() {
        let mut rate = Rate::default();
        rate.add(11_000.0, kafkas(), SECOND);
        let after =
            |rate: &mut Rate, millis| rate.excess(limit(1000.0), kafkas(), SECOND + Duration::from_millis(millis));
        assert_eq!(after(&mut rate, 400), Duration::from_millis(600));
        assert_eq!(after(&mut rate, 1200), Duration::from_millis(800), "as if the window before had ended later");
        rate.add(3000.0, kafkas(), 9 * SECOND);
        assert_eq!(after(&mut rate, 10_500), Duration::from_millis(3500), "no windows are made up any more");
    }

    #[test]
    fn a_window_counts_until_its_last_use_is_older_than_all_windows() {
        let mut rate = Rate::default();
        rate.add(15_000.0, kafkas(), SECOND);
        rate.add(15_000.0, kafkas(), SECOND + SECOND / 2);
        assert_eq!(rate.excess(limit(1000.0), kafkas(), 12 * SECOND), 19 * SECOND);
        assert!(!rate.is_over(kafkas(), 12 * SECOND) && rate.is_over(kafkas(), 13 * SECOND));
        assert_eq!(rate.excess(limit(1000.0), kafkas(), 13 * SECOND), Duration::ZERO);
    }

    #[test]
    fn one_that_waits_as_it_is_told_uses_what_it_may() {
        let mut rate = Rate::default();
        let (mut now, mut used) = (Duration::ZERO, 0.0);
        while now < 200 * SECOND {
            rate.add(700.0, kafkas(), now);
            used += 700.0;
            now += rate.excess(limit(1000.0), kafkas(), now).max(Duration::from_millis(1));
        }
        assert!((150_000.0..=210_700.0).contains(&used), "{used} in 200 s at 1000 a second, ten seconds' worth ahead");
    }

    #[test]
    fn a_single_window_has_no_whole_one_before_it() {
        let windows = Windows { count: 1, length: SECOND };
        let mut rate = Rate::default();
        rate.add(500.0, windows, SECOND);
        assert_eq!(rate.excess(limit(1000.0), windows, SECOND), SECOND / 2);
        assert_eq!(rate.excess(limit(1000.0), windows, SECOND + SECOND / 2), Duration::ZERO);
    }
}
