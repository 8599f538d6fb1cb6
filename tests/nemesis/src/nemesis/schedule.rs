//! The faults of a seed: the same seed gives the same faults in the same order.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::fault::{Chance, Fault, Means};
use super::target::Target;

/// Which faults a run does.
#[derive(Clone, Debug)]
pub enum Series {
    /// Those of the seed whose names contain this, for so long.
    Seeded(String, Duration),
    /// So many trials of each kind whose name contains this, with leaders where the kind wants them.
    Trials(String, usize),
}

/// An endless series of faults.
#[derive(Debug)]
pub struct Schedule {
    random: StdRng,
    means: Means,
    only: String,
    /// Kinds still to come before any comes again, so that a short run has each of them.
    left: Vec<Fault>,
}

impl Schedule {
    /// The series of `seed`, of the faults whose names contain `only`.
    pub fn new(seed: u64, means: Means, only: &str) -> Self {
        Self { random: StdRng::seed_from_u64(seed), means, only: only.to_owned(), left: Vec::new() }
    }

    /// The pause before the next fault.
    pub fn pause(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(500..3_000))
    }
}

impl Iterator for Schedule {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        if self.left.is_empty() {
            let targets = if self.means.replicated { &Target::ALL[..] } else { &Target::ALL[..1] };
            let none = Chance { target: Target::Leader, length: Duration::ZERO, pick: 0 };
            for kind in 0..Fault::all(self.means, none).len() {
                let target = *targets.choose(&mut self.random)?;
                let length = self.random.random_range(Duration::from_secs(1)..=self.means.longest);
                let pick = self.random.random_range(0..usize::from(u8::MAX));
                self.left.push(Fault::all(self.means, Chance { target, length, pick })[kind]);
            }
            if !self.only.is_empty() {
                let only = &self.only;
                self.left.retain(|fault| fault.to_string().contains(only));
            }
            self.left.shuffle(&mut self.random);
        }
        self.left.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Durability;

    fn means(durability: Durability) -> Means {
        Means {
            network: true,
            disks: true,
            boots: true,
            durability,
            replicated: true,
            longest: Duration::from_secs(10),
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_faults_and_every_kind_comes_before_any_comes_again() {
        let take = |seed| Schedule::new(seed, means(Durability::Fsync), "").take(60).collect::<Vec<_>>();
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
        let none = Chance { target: Target::Leader, length: Duration::ZERO, pick: 0 };
        let kinds = Fault::all(means(Durability::Fsync), none).len();
        let kind = |fault: &Fault| match fault {
            Fault::Last { lasting, blow: None, .. } => format!("{lasting:?}"),
            Fault::Last { blow, .. } => format!("{blow:?}"),
            other => format!("{:?}", std::mem::discriminant(other)),
        };
        let seen: std::collections::BTreeSet<String> = take(7)[..kinds].iter().map(kind).collect();
        assert_eq!(seen.len(), kinds);
    }

    #[test]
    fn what_is_replicated_alone_need_not_survive_the_loss_of_all_power() {
        let mut faults = Schedule::new(1, means(Durability::Replicated), "").take(200);
        assert!(!faults.any(|fault| fault == Fault::AllLosePower));
    }
}
