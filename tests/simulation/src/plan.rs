//! What a seed makes of a run: how large the cluster is, which topics there are, which faults strike.

use std::time::Duration;

use crate::dice::Dice;
use crate::faults::Fault;

/// A topic of the run.
#[derive(Clone, Debug)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replication factor.
    pub replicas: i16,
    /// `min.insync.replicas` at first.
    pub min_isr: usize,
    /// Whether `ottla.durability` is `fsync` at first.
    pub fsync: bool,
    /// Whether it asks for unclean elections.
    pub unclean: bool,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed it was made of.
    pub seed: u64,
    /// Number of brokers.
    pub brokers: usize,
    /// How many of them are voters of the metadata log at first.
    pub voters: usize,
    /// How many log directories each broker has.
    pub directories: usize,
    /// The topics.
    pub topics: Vec<TopicPlan>,
    /// How long faults strike.
    pub turmoil: Duration,
    /// The faults that may strike.
    pub faults: Vec<Fault>,
    /// The longest time between two of them, in milliseconds.
    pub respite: u64,
    /// How long between two acts of the administrator at most, in milliseconds.
    pub admin: u64,
}

impl Plan {
    /// The plan for `seed`.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let brokers = *dice.pick(&[3, 3, 3, 4, 5]).expect("there are some");
        let voters = if brokers > 3 && dice.one_in(3) { brokers | 1 } else { 3 }.min(brokers);
        let topics = (0..dice.between(1, 3)).map(|number| topic(number, brokers, &mut dice)).collect();
        let mut faults: Vec<_> = Fault::ALL.into_iter().filter(|_| dice.one_in(2)).collect();
        if faults.is_empty() {
            faults.push(Fault::Crash);
        }
        Self {
            seed,
            brokers,
            voters,
            directories: if dice.one_in(3) { 2 } else { 1 },
            topics,
            turmoil: dice.millis(8_000, 30_000),
            faults,
            respite: *dice.pick(&[600, 1_500, 4_000]).expect("there are some"),
            admin: *dice.pick(&[800, 3_000, 10_000]).expect("there are some"),
        }
    }
}

fn topic(number: u64, brokers: usize, dice: &mut Dice) -> TopicPlan {
    let most = brokers as u64;
    let replicas = *dice.pick(&[1, 2, 3, 3, 3, 3, most]).expect("there are some");
    let min_isr = if dice.one_in(2) { 2 } else { dice.between(1, 3) }.min(replicas);
    TopicPlan {
        name: format!("topic-{number}"),
        partitions: dice.between(1, 2) as i32,
        replicas: replicas as i16,
        min_isr: min_isr as usize,
        fsync: dice.one_in(2),
        unclean: dice.one_in(8),
    }
}
