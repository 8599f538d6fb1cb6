//! What is kept of the records that a share group has begun with: ranges of offsets with one standing each.

use std::collections::BinaryHeap;

use crate::Offset;

/// How far the delivery of a record has come, as it is kept. That a member has it at the moment is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryState {
    /// It may be delivered (again).
    Available,
    /// A member has accepted it.
    Acknowledged,
    /// It was rejected, given up, or is no longer there.
    Archived,
}

impl DeliveryState {
    /// Its number on the wire and in records.
    pub fn code(self) -> i8 {
        match self {
            Self::Available => 0,
            Self::Acknowledged => 2,
            Self::Archived => 4,
        }
    }

    /// The state with the number `code`, if it is one that is kept.
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Available, Self::Acknowledged, Self::Archived].into_iter().find(|state| state.code() == code)
    }

    /// Whether the record will not be delivered again.
    pub fn is_terminal(self) -> bool {
        self != Self::Available
    }
}

/// Consecutive offsets with the same standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBatch {
    first: Offset,
    last: Offset,
    /// How far their delivery has come.
    pub state: DeliveryState,
    /// How often they have been delivered.
    pub count: u16,
}

impl StateBatch {
    /// The offsets `first` to `last`, inclusive; none if that is no range of offsets.
    pub fn new(first: Offset, last: Offset, state: DeliveryState, count: u16) -> Option<Self> {
        let is_range = Offset::ZERO <= first && first <= last && last < Offset(i64::MAX);
        is_range.then_some(Self { first, last, state, count })
    }

    /// The first offset.
    pub fn first(&self) -> Offset {
        self.first
    }

    /// The last offset, inclusive.
    pub fn last(&self) -> Offset {
        self.last
    }

    /// By which the later of two accounts of a record is known: deliveries only become more.
    fn standing(&self) -> (u16, DeliveryState) {
        (self.count, self.state)
    }

    /// What is left of it from `start` on.
    fn from(self, start: Offset) -> Option<Self> {
        Self::new(self.first.max(start), self.last, self.state, self.count)
    }
}

/// A batch in the order in which it covers others.
#[derive(PartialEq, Eq)]
struct Covering(StateBatch);

impl Ord for Covering {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.standing(), self.0.last).cmp(&(other.0.standing(), other.0.last))
    }
}

impl PartialOrd for Covering {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// One account of all `batches` from `start` on, in the order of their offsets: where several tell of the same offset the
/// one that has got further counts, and neighbours that agree become one.
pub(crate) fn combine(batches: impl IntoIterator<Item = StateBatch>, start: Offset) -> Vec<StateBatch> {
    let mut batches: Vec<StateBatch> = batches.into_iter().filter_map(|batch| batch.from(start)).collect();
    batches.sort_by_key(|batch| batch.first);
    let mut upcoming = batches.into_iter().peekable();
    let mut open: BinaryHeap<Covering> = BinaryHeap::new();
    let mut combined: Vec<StateBatch> = Vec::new();
    let mut at = Offset::ZERO;
    loop {
        while open.peek().is_some_and(|Covering(top)| top.last < at) {
            open.pop();
        }
        if open.is_empty() {
            let Some(next) = upcoming.peek() else { return combined };
            at = at.max(next.first);
        }
        while let Some(next) = upcoming.next_if(|next| next.first <= at) {
            open.push(Covering(next));
        }
        let Some(Covering(top)) = open.peek() else { continue };
        let before_next = upcoming.peek().map_or(top.last, |next| Offset(next.first.0 - 1));
        let until = top.last.min(before_next);
        if at <= until {
            push(&mut combined, StateBatch { first: at, last: until, ..*top });
            at = until.plus(1);
        }
    }
}

fn push(combined: &mut Vec<StateBatch>, next: StateBatch) {
    match combined.last_mut() {
        Some(last) if last.last.plus(1) == next.first && last.standing() == next.standing() => last.last = next.last,
        _ => combined.push(next),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use DeliveryState::{Acknowledged, Archived, Available};

    fn batch(first: i64, last: i64, state: DeliveryState, count: u16) -> StateBatch {
        StateBatch::new(Offset(first), Offset(last), state, count).unwrap()
    }

    #[test]
    fn neighbours_that_agree_become_one_and_others_stay_apart() {
        let batches = [batch(5, 9, Acknowledged, 1), batch(0, 4, Acknowledged, 1), batch(11, 12, Acknowledged, 1)];
        assert_eq!(combine(batches, Offset::ZERO), [batch(0, 9, Acknowledged, 1), batch(11, 12, Acknowledged, 1)]);
    }

    #[test]
    fn what_has_got_further_counts_and_splits_what_it_lies_within() {
        let batches = [batch(0, 9, Available, 1), batch(3, 5, Acknowledged, 2), batch(9, 12, Available, 2)];
        let combined = [
            batch(0, 2, Available, 1),
            batch(3, 5, Acknowledged, 2),
            batch(6, 8, Available, 1),
            batch(9, 12, Available, 2),
        ];
        assert_eq!(combine(batches, Offset::ZERO), combined);
    }

    #[test]
    fn what_lies_below_the_start_is_forgotten() {
        let batches = [batch(0, 4, Archived, 1), batch(5, 9, Available, 1)];
        assert_eq!(combine(batches, Offset(7)), [batch(7, 9, Available, 1)]);
    }

    #[test]
    fn only_ranges_of_offsets_are_batches() {
        for (first, last) in [(-1, 3), (4, 3), (0, i64::MAX)] {
            assert_eq!(StateBatch::new(Offset(first), Offset(last), Available, 0), None, "{first} to {last}");
        }
    }

    /// What each offset below 40 comes to, batch by batch.
    fn by_offset(batches: &[StateBatch], start: i64) -> Vec<Option<(u16, DeliveryState)>> {
        let of = |offset: i64| {
            let over = batches.iter().filter(|b| b.first.0 <= offset && offset <= b.last.0);
            over.map(StateBatch::standing).max().filter(|_| offset >= start)
        };
        (0..40).map(of).collect()
    }

    proptest! {
        #[test]
        fn each_offset_has_the_greatest_standing_that_was_told_of_it(
            parts in prop::collection::vec((0i64..30, 0i64..10, 0usize..3, 0u16..3), 0..12),
            start in 0i64..20,
        ) {
            let states = [Available, Acknowledged, Archived];
            let batches: Vec<_> = parts.iter().map(|&(first, more, s, count)| batch(first, first + more, states[s], count)).collect();
            let combined = combine(batches.clone(), Offset(start));
            prop_assert_eq!(by_offset(&combined, start), by_offset(&batches, start));
            for pair in combined.windows(2) {
                prop_assert!(pair[0].last < pair[1].first);
                prop_assert!(pair[0].last.plus(1) < pair[1].first || pair[0].standing() != pair[1].standing());
            }
        }
    }
}
