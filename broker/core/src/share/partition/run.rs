//! The records between the start and the end of delivery, in runs of offsets that stand alike.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::Offset;
use crate::share::DeliveryState;

/// Which write to the coordinator; numbered upwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WriteId(pub(super) u64);

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Whoever comes may have it.
    Available,
    /// A member has it.
    Acquired(Lock),
    /// It is accepted (`true`), or will not be delivered again for another reason.
    Over(bool),
}

/// A member's hold of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) member: Arc<str>,
    /// When it ends, on the monotonic clock.
    pub(super) until: Duration,
    /// What the record becomes once this write is durable. Until then the member has it still, beyond the end of its time.
    pub(super) decided: Option<(WriteId, DeliveryState)>,
}

impl From<DeliveryState> for Standing {
    fn from(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Available => Self::Available,
            DeliveryState::Acknowledged => Self::Over(true),
            DeliveryState::Archived => Self::Over(false),
        }
    }
}

/// Consecutive offsets that stand alike, up to `last`, inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) last: Offset,
    /// How often they have been delivered.
    pub(super) count: u16,
    /// How many records the batch had in which they were first delivered.
    pub(super) origin: u64,
    pub(super) standing: Standing,
}

impl Run {
    /// Whether the records will not be delivered again once what is on its way is durable.
    pub(super) fn is_complete(&self) -> bool {
        match &self.standing {
            Standing::Available => false,
            Standing::Acquired(lock) => lock.decided.is_some_and(|(_, state)| state.is_terminal()),
            Standing::Over(_) => true,
        }
    }

    /// The lock whose end counts: nothing is decided yet.
    pub(super) fn lock(&self) -> Option<&Lock> {
        match &self.standing {
            Standing::Acquired(lock) if lock.decided.is_none() => Some(lock),
            _ => None,
        }
    }
}

/// Runs by their first offsets; between the first and the last of them no offset is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs(BTreeMap<Offset, Run>);

/// Number of offsets from `first` to `last`, inclusive.
pub(super) fn length(first: Offset, last: Offset) -> u64 {
    u64::try_from(last.0.saturating_sub(first.0)).map_or(0, |more| more + 1)
}

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Offset, &Run)> {
        self.0.iter().map(|(first, run)| (*first, run))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Offset, &mut Run)> {
        self.0.iter_mut().map(|(first, run)| (*first, run))
    }

    /// Adds offsets behind all others.
    pub(super) fn push(&mut self, first: Offset, run: Run) {
        self.0.insert(first, run);
    }

    /// The runs with offsets from `first` to `last`, inclusive; those at the ends may go beyond.
    pub(super) fn over(&self, first: Offset, last: Offset) -> impl Iterator<Item = (Offset, &Run)> {
        let from = self.0.range(..=first).next_back().map_or(first, |(from, _)| *from);
        let runs = if first <= last { self.0.range(from..=last) } else { self.0.range(last..last) };
        runs.filter(move |(_, run)| run.last >= first).map(|(first, run)| (*first, run))
    }

    /// The offsets from `first` to `last`, inclusive, as runs of their own.
    pub(super) fn within_mut(&mut self, first: Offset, last: Offset) -> impl Iterator<Item = (Offset, &mut Run)> {
        self.split(first);
        self.split(last.plus(1));
        let runs = if first <= last { self.0.range_mut(first..=last) } else { self.0.range_mut(last..last) };
        runs.map(|(first, run)| (*first, run))
    }

    /// Has a run begin at `at`, if an offset before is with it in one.
    fn split(&mut self, at: Offset) {
        let Some((_, run)) = self.0.range_mut(..at).next_back() else { return };
        if run.last >= at {
            let rest = run.clone();
            run.last = Offset(at.0 - 1);
            self.0.insert(at, rest);
        }
    }

    /// Forgets what lies below `start`.
    pub(super) fn forget_below(&mut self, start: Offset) {
        self.split(start);
        self.0 = self.0.split_off(&start);
    }

    /// Takes the first run away if it is over; gives where the next begins.
    pub(super) fn pop_over(&mut self) -> Option<Offset> {
        let first = self.0.first_entry().filter(|entry| matches!(entry.get().standing, Standing::Over(_)))?;
        Some(first.remove().last.plus(1))
    }
}
