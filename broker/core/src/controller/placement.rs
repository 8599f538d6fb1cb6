//! Chooses the brokers for new partitions: leaders and followers spread evenly, copies in different racks.
//!
//! A pure function of the brokers and a seed. Which brokers exist is decided elsewhere; moves are planned elsewhere.

use std::collections::BTreeMap;

use super::Error;
use crate::metadata::{Broker, Image, Replica};
use crate::{BrokerId, DirectoryId};

/// The brokers that may get new partitions, in an order in which neighbours are in different racks.
pub(super) struct Placer<'a> {
    active: Vec<&'a Broker>,
    /// Fenced ones: they hold copies only when there are not enough others, and never lead at first.
    fenced: Vec<&'a Broker>,
    seed: u64,
}

impl<'a> Placer<'a> {
    /// Places on the brokers of `image`; equal seeds place alike.
    pub(super) fn new(image: &'a Image, seed: u64) -> Self {
        let open = || image.brokers().values().map(AsRef::as_ref).filter(|broker| !broker.cordoned);
        let active = across_racks(open().filter(|broker| broker.is_active()));
        let fenced = across_racks(open().filter(|broker| !broker.is_active()));
        Self { active, fenced, seed }
    }

    /// Copies for the partitions `first..first + count`, each the preferred leader first.
    pub(super) fn place(&self, first: usize, count: usize, factor: usize) -> Result<Vec<Vec<Replica>>, Error> {
        let total = self.active.len() + self.fenced.len();
        if self.active.is_empty() {
            return Err(too_few(
                factor,
                "All brokers are currently fenced, or have all their log directories cordoned.",
            ));
        }
        if factor > total {
            let reason = format!(
                "The target replication factor of {factor} cannot be reached because only {total} broker(s) are \
                 registered or some brokers have all their log directories cordoned."
            );
            return Err(too_few(factor, &reason));
        }
        Ok((first..first + count).map(|partition| self.copies(partition, factor)).collect())
    }

    fn copies(&self, partition: usize, factor: usize) -> Vec<Replica> {
        let count = self.active.len();
        // Leaders go round; after each round the followers are shifted by one, so that a broker's followers are many.
        let turn = (self.seed as usize).wrapping_add(partition);
        let (leader, shift) = (turn % count, turn / count);
        let followers = (0..count - 1).map(|step| (leader + 1 + (shift + step) % (count - 1)) % count);
        let candidates: Vec<_> = std::iter::once(leader)
            .chain(followers)
            .map(|position| self.active[position])
            .chain(self.fenced.iter().copied())
            .collect();
        let chosen = choose_across_racks(&candidates, factor);
        chosen.into_iter().map(|broker| replica(broker, shift)).collect()
    }
}

/// The copy on `broker`, in one of its directories; `turn` spreads a topic's partitions over them.
pub(super) fn replica(broker: &Broker, turn: usize) -> Replica {
    let directories = &broker.directories;
    let directory = directories.get(turn % directories.len().max(1)).copied().unwrap_or(DirectoryId::ZERO);
    Replica { broker: broker.id, directory }
}

/// Chooses directories for copies that a move adds: the one with the fewest copies of its broker's.
pub(super) struct Directories<'a> {
    image: &'a Image,
    /// Copies in each directory; counted when a broker with several is first met.
    copies: Option<BTreeMap<DirectoryId, usize>>,
}

impl<'a> Directories<'a> {
    /// A choice among the directories of the brokers of `image`.
    pub(super) fn new(image: &'a Image) -> Self {
        Self { image, copies: None }
    }

    /// The copy on `broker`.
    pub(super) fn replica(&mut self, broker: &Broker) -> Replica {
        if broker.directories.len() < 2 {
            return replica(broker, 0);
        }
        let copies = self.copies.get_or_insert_with(|| count_copies(self.image));
        let least = broker.directories.iter().min_by_key(|id| copies.get(id).copied().unwrap_or(0));
        let directory = least.copied().unwrap_or(DirectoryId::ZERO);
        *copies.entry(directory).or_default() += 1;
        Replica { broker: broker.id, directory }
    }
}

fn count_copies(image: &Image) -> BTreeMap<DirectoryId, usize> {
    let mut copies = BTreeMap::new();
    for replica in image.topics().iter().flat_map(|topic| &topic.partitions).flat_map(|state| &state.replicas) {
        *copies.entry(replica.directory).or_default() += 1;
    }
    copies
}

/// The error of a request that wants more copies than there can be.
fn too_few(factor: usize, reason: &str) -> Error {
    Error::InvalidReplicationFactor(format!("Unable to replicate the partition {factor} time(s): {reason}").into())
}

/// Takes `factor` of the candidates in turn, each rack once before any rack again.
fn choose_across_racks<'a>(candidates: &[&'a Broker], factor: usize) -> Vec<&'a Broker> {
    let mut chosen: Vec<&Broker> = Vec::with_capacity(factor);
    let mut uses: BTreeMap<Rack<'_>, usize> = BTreeMap::new();
    for round in 1.. {
        for candidate in candidates {
            if chosen.len() == factor {
                return chosen;
            }
            let used = uses.entry(Rack::of(candidate)).or_default();
            if *used < round && !chosen.iter().any(|broker| broker.id == candidate.id) {
                *used += 1;
                chosen.push(candidate);
            }
        }
        if chosen.len() == candidates.len() {
            break; // callers ask for no more than there are
        }
    }
    chosen
}

/// A broker without a rack is a rack of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rack<'a> {
    Named(&'a str),
    Alone(BrokerId),
}

impl<'a> Rack<'a> {
    fn of(broker: &'a Broker) -> Self {
        broker.rack.as_deref().map_or(Self::Alone(broker.id), Self::Named)
    }
}

/// One broker of each rack in turn, until all are listed.
fn across_racks<'a>(brokers: impl Iterator<Item = &'a Broker>) -> Vec<&'a Broker> {
    let mut racks: BTreeMap<Rack<'a>, Vec<&'a Broker>> = BTreeMap::new();
    for broker in brokers {
        racks.entry(Rack::of(broker)).or_default().push(broker);
    }
    let rounds = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..rounds).flat_map(|round| racks.values().filter_map(move |rack| rack.get(round).copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Cluster;
    use super::*;

    fn brokers(copies: &[Replica]) -> Vec<i32> {
        copies.iter().map(|replica| replica.broker.0).collect()
    }

    fn load(placed: &[Vec<Replica>], of: impl Fn(&[Replica]) -> Vec<i32>) -> BTreeMap<i32, usize> {
        let mut load = BTreeMap::new();
        placed.iter().flat_map(|copies| of(copies)).for_each(|broker| *load.entry(broker).or_default() += 1);
        load
    }

    #[test]
    fn leaders_and_copies_are_spread_evenly() {
        let cluster = Cluster::with_brokers(5);
        let placed = Placer::new(&cluster.image, 3).place(0, 100, 3).unwrap();
        assert_eq!(load(&placed, |copies| brokers(&copies[..1])), (0..5).map(|id| (id, 20)).collect());
        assert_eq!(load(&placed, brokers), (0..5).map(|id| (id, 60)).collect());
    }

    #[test]
    fn the_copies_of_a_partition_are_in_different_racks_while_there_are_enough() {
        let cluster = Cluster::with_racks(&["a", "a", "b", "b", "c", "c"]);
        let rack = |broker: &i32| broker / 2;
        for copies in Placer::new(&cluster.image, 9).place(0, 60, 3).unwrap() {
            let mut racks: Vec<_> = brokers(&copies).iter().map(rack).collect();
            racks.sort_unstable();
            assert_eq!(racks, [0, 1, 2], "{copies:?}");
        }
        for copies in Placer::new(&cluster.image, 9).place(0, 60, 4).unwrap() {
            let mut racks: Vec<_> = brokers(&copies).iter().map(rack).collect();
            racks.dedup();
            assert_eq!((copies.len(), racks.len()), (4, 4), "neighbours differ in rack: {copies:?}");
        }
    }

    #[test]
    fn a_fenced_broker_only_fills_up_and_a_cordoned_one_gets_nothing() {
        let mut cluster = Cluster::with_brokers(4);
        cluster.fence(3);
        cluster.cordon(0);
        let placer = Placer::new(&cluster.image, 0);
        assert!(placer.place(0, 50, 2).unwrap().iter().all(|copies| !brokers(copies).contains(&3)));
        for copies in placer.place(0, 50, 3).unwrap() {
            assert_eq!(brokers(&copies)[2], 3);
        }
        let refused = placer.place(0, 1, 4).unwrap_err().to_string();
        assert!(refused.contains("only 3 broker(s) are registered"), "{refused}");
    }
}
