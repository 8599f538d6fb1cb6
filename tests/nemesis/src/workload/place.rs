//! The partitions of a run: those of a topic that is on three brokers, and those of one that is on two.
//!
//! Transactions have a topic of their own. The second topic has a partition for every pair of neighbours, so of every broker there is one that it holds nothing
//! of: whoever writes there should not notice when that broker dies.

use super::Load;

/// The topic of the run.
pub const TOPIC: &str = "nemesis";
/// The topic whose partitions are on two brokers each, where there are at least three.
pub const PAIRS: &str = "nemesis-pairs";

/// The topic that transactions write to, on three brokers; only read and written by transactional clients.
pub const TRANSACTIONAL: &str = "nemesis-transactions";
/// Its partitions: so many that each broker leads one, so few that transactions meet.
const TRANSACTIONAL_PARTITIONS: i32 = 4;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number in the history. That of a partition of [`TOPIC`] is its index.
    pub number: i32,
    /// Its topic.
    pub topic: &'static str,
    /// Its index there.
    pub index: i32,
    /// The brokers that hold it, the preferred leader first.
    pub brokers: Vec<usize>,
}

impl Place {
    /// Whether transactions write to it, and nothing else.
    pub fn is_transactional(&self) -> bool {
        self.topic == TRANSACTIONAL
    }
}

/// The partitions of a run on so many brokers. Leaders and pairs go round.
pub fn places(load: &Load, brokers: usize) -> Vec<Place> {
    let round = |from: usize, count: usize| (0..count).map(|step| (from + step) % brokers).collect();
    let mut places: Vec<Place> = (0..load.partitions)
        .map(|index| Place { number: index, topic: TOPIC, index, brokers: round(index as usize, brokers.min(3)) })
        .collect();
    let pairs = if brokers < 3 { 0 } else { brokers as i32 };
    places.extend((0..pairs).map(|index| Place {
        number: load.partitions + index,
        topic: PAIRS,
        index,
        brokers: round(index as usize, 2),
    }));
    let transactional = if load.transactors > 0 { TRANSACTIONAL_PARTITIONS } else { 0 };
    places.extend((0..transactional).map(|index| Place {
        number: load.partitions + pairs + index,
        topic: TRANSACTIONAL,
        index,
        brokers: round(index as usize, brokers.min(3)),
    }));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_broker_there_is_a_partition_that_it_holds_nothing_of() {
        let places = places(&Load { partitions: 2, transactors: 0, ..Load::default() }, 3);
        let of_pairs: Vec<_> = places.iter().filter(|place| place.topic == PAIRS).collect();
        assert_eq!(of_pairs.iter().map(|place| &place.brokers[..]).collect::<Vec<_>>(), [[0, 1], [1, 2], [2, 0]]);
        assert_eq!(places.iter().map(|place| place.number).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(places[1].brokers, [1, 2, 0]);
    }

    #[test]
    fn two_brokers_have_nothing_that_one_of_them_does_not_hold() {
        assert!(places(&Load::default(), 2).iter().all(|place| place.topic != PAIRS && place.brokers.len() == 2));
    }

    #[test]
    fn every_broker_leads_a_partition_that_transactions_write_to() {
        let places = places(&Load { partitions: 2, ..Load::default() }, 3);
        let transactional: Vec<_> = places.iter().filter(|place| place.is_transactional()).collect();
        assert_eq!(transactional.iter().map(|place| place.brokers[0]).collect::<Vec<_>>(), [0, 1, 2, 0]);
        assert_eq!(transactional.iter().map(|place| place.number).collect::<Vec<_>>(), [5, 6, 7, 8]);
    }
}
