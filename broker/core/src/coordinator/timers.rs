//! A coordinator's alarm clock: at most one alarm per name, the earliest first.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

/// Alarms on the monotonic clock, named by what they are for.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    by_time: BTreeSet<(Duration, T)>,
    times: HashMap<T, Duration>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), times: HashMap::new() }
    }
}

impl<T: Clone + Ord + Hash> Timers<T> {
    /// Sets the alarm, in place of an earlier one of the same name.
    pub(crate) fn schedule(&mut self, timer: T, at: Duration) {
        if let Some(before) = self.times.insert(timer.clone(), at) {
            self.by_time.remove(&(before, timer.clone()));
        }
        self.by_time.insert((at, timer));
    }

    /// Forgets the alarm, if set.
    pub(crate) fn cancel(&mut self, timer: &T) {
        if let Some(at) = self.times.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    /// Whether the alarm is set.
    pub(crate) fn is_set(&self, timer: &T) -> bool {
        self.times.contains_key(timer)
    }

    /// The time of the next alarm.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest alarm whose time has come.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.times.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_set_again_rings_once_at_the_new_time() {
        let mut timers = Timers::default();
        timers.schedule("a", Duration::from_secs(1));
        timers.schedule("a", Duration::from_secs(2));
        assert_eq!(timers.pop_due(Duration::from_secs(1)), None);
        assert_eq!(timers.pop_due(Duration::from_secs(2)), Some("a"));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_cancelled_alarm_never_rings() {
        let mut timers = Timers::default();
        timers.schedule("a", Duration::from_secs(1));
        timers.cancel(&"a");
        assert_eq!(timers.pop_due(Duration::MAX), None);
    }
}
