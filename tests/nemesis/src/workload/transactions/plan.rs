//! What a transaction is to do, drawn from a seed. Pure.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::workload::Place;

/// How a transaction is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its producer commits it.
    Commit,
    /// Its producer aborts it.
    Abort,
    /// Its producer asks to commit it when its time is over.
    TimeOut,
    /// Another instance of the producer begins; then this one appends once more, and asks to commit.
    Zombie,
    /// Another instance begins while this one asks to commit.
    Race,
}

/// Of a hundred transactions so many end so.
const ODDS: [(Ending, u32); 5] =
    [(Ending::Commit, 71), (Ending::Abort, 15), (Ending::Race, 6), (Ending::Zombie, 6), (Ending::TimeOut, 2)];

impl Ending {
    pub(super) fn draw(random: &mut StdRng) -> Self {
        let mut number = random.random_range(0..100);
        let drawn = ODDS.into_iter().find(|(_, odds)| {
            let is_it = number < *odds;
            number = number.saturating_sub(*odds);
            is_it
        });
        drawn.map_or(Self::Commit, |(ending, _)| ending)
    }
}

/// A transaction.
#[derive(Debug)]
pub(super) struct Plan<'p> {
    pub(super) ending: Ending,
    /// Produce calls in their order, with their numbers of records. A partition may have several.
    pub(super) appends: Vec<(&'p Place, u32)>,
}

impl<'p> Plan<'p> {
    pub(super) fn draw(random: &mut StdRng, places: &'p [Place]) -> Self {
        let mut chosen: Vec<&Place> = places.iter().collect();
        chosen.shuffle(random);
        chosen.truncate(random.random_range(1..=places.len()));
        // Again, in another order: appends to partitions alternate.
        let again = random.random_range(0..=chosen.len());
        let appends = chosen.iter().chain(chosen.iter().rev().take(again));
        let appends = appends.map(|place| (*place, random.random_range(1..=3))).collect();
        Self { ending: Ending::draw(random), appends }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::workload::{Load, places};

    #[test]
    fn transactions_end_in_every_way_and_write_to_one_partition_or_several() {
        let places: Vec<_> = places(&Load::default(), 3).into_iter().filter(Place::is_transactional).collect();
        let mut random = StdRng::seed_from_u64(1);
        let plans: Vec<_> = (0..1000).map(|_| Plan::draw(&mut random, &places)).collect();
        for (ending, odds) in ODDS {
            let count = plans.iter().filter(|plan| plan.ending == ending).count() as u32;
            assert!((5 * odds..15 * odds).contains(&count), "{ending:?}: {count}");
        }
        let written = |plan: &Plan<'_>| {
            let mut numbers: Vec<_> = plan.appends.iter().map(|(place, _)| place.number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers.len()
        };
        assert_eq!(plans.iter().map(written).min(), Some(1));
        assert_eq!(plans.iter().map(written).max(), Some(places.len()));
        assert!(plans.iter().any(|plan| plan.appends.len() > written(plan)));
        assert_eq!(ODDS.iter().map(|(_, odds)| odds).sum::<u32>(), 100);
    }
}
