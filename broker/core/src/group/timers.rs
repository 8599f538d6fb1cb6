//! The coordinator's alarm clock: at most one alarm per name, the earliest first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::event::AppendId;

/// What an alarm is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// The join phase of a group ends.
    Join(Arc<str>),
    /// Members of a group that have not sent SyncGroup are given up.
    Sync(Arc<str>),
    /// The session of a member (or of one that was only given an id) ends: group, member.
    Session(Arc<str>, Arc<str>),
    /// Answers no longer wait for an append.
    Append(AppendId),
    /// Old offsets and empty groups are looked for.
    Retention,
}

/// Alarms on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(Duration, Timer)>,
    times: HashMap<Timer, Duration>,
}

impl Timers {
    /// Sets the alarm, in place of an earlier one of the same name.
    pub(super) fn schedule(&mut self, timer: Timer, at: Duration) {
        if let Some(before) = self.times.insert(timer.clone(), at) {
            self.by_time.remove(&(before, timer.clone()));
        }
        self.by_time.insert((at, timer));
    }

    /// Forgets the alarm, if set.
    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.times.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    /// Whether the alarm is set.
    pub(super) fn is_set(&self, timer: &Timer) -> bool {
        self.times.contains_key(timer)
    }

    /// The time of the next alarm.
    pub(super) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest alarm whose time has come.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
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
        timers.schedule(Timer::Retention, Duration::from_secs(1));
        timers.schedule(Timer::Retention, Duration::from_secs(2));
        assert_eq!(timers.pop_due(Duration::from_secs(1)), None);
        assert_eq!(timers.pop_due(Duration::from_secs(2)), Some(Timer::Retention));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_cancelled_alarm_never_rings() {
        let mut timers = Timers::default();
        timers.schedule(Timer::Append(AppendId(1)), Duration::from_secs(1));
        timers.cancel(&Timer::Append(AppendId(1)));
        assert_eq!(timers.pop_due(Duration::MAX), None);
    }
}
