//! Clusters of all shapes, played to their end: each plan is carried out move by move, and every step is looked at.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const MB: u64 = 1 << 20;

/// What a broker carries in the end.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    replicas: usize,
    leaders: usize,
    bytes: u64,
}

fn loads(view: &View) -> BTreeMap<BrokerId, Load> {
    let mut loads: BTreeMap<_, Load> = view.brokers.iter().map(|broker| (broker.id, Load::default())).collect();
    for partition in &view.partitions {
        for (position, id) in partition.target.iter().enumerate() {
            let load = loads.get_mut(id).unwrap();
            load.replicas += 1;
            load.leaders += usize::from(position == 0);
            load.bytes += partition.bytes;
        }
    }
    loads
}

/// A cluster in which `next` is carried out.
struct World {
    view: View,
    limits: Limits,
    copied: u64,
}

impl World {
    fn new(view: View, limits: Limits) -> Self {
        Self { view, limits, copied: 0 }
    }

    fn at(&mut self, place: &Place) -> &mut Partition {
        let mut partitions = self.view.partitions.iter_mut();
        partitions.find(|one| one.topic == place.topic && one.index == place.index).unwrap()
    }

    fn moving(&self) -> usize {
        self.view.partitions.iter().filter(|partition| partition.is_moving()).count()
    }

    /// Plans, checks the plan and begins what it says; false if there was nothing to begin.
    fn begin(&mut self) -> bool {
        let changes = next(&self.view, &self.limits);
        let mut seen = BTreeSet::new();
        for assignment in &changes.assign {
            assert!(seen.insert(assignment.place.clone()), "one move of a partition at a time");
            self.assign(assignment);
        }
        for place in &changes.cancel {
            assert!(seen.insert(place.clone()));
            let partition = self.at(place);
            let all = [partition.target.clone(), partition.removing.clone()].concat();
            partition.target = all.into_iter().filter(|id| !partition.adding.contains(id)).collect();
            (partition.adding, partition.removing) = (Vec::new(), Vec::new());
        }
        for place in &changes.elect {
            let partition = self.at(place);
            partition.leader = partition.target.first().copied();
        }
        assert!(self.moving() <= self.limits.moves, "{} move", self.moving());
        Changes { blocked: Vec::new(), ..changes } != Changes::default()
    }

    fn assign(&mut self, assignment: &Assignment) {
        let open: Vec<_> =
            self.view.brokers.iter().filter(|one| one.role == Role::Member && one.alive).map(|one| one.id).collect();
        let partition = self.at(&assignment.place);
        // What an earlier move was adding in vain goes at once.
        let mut held: Vec<_> = [partition.target.clone(), partition.removing.clone()].concat();
        held.retain(|id| !partition.adding.contains(id));
        let distinct: BTreeSet<_> = assignment.replicas.iter().collect();
        assert_eq!(distinct.len(), assignment.replicas.len());
        assert!(assignment.replicas.len() >= partition.copies.min(partition.target.len()), "{assignment:?}");
        let is_new = |id: &BrokerId| !held.contains(id);
        partition.adding = assignment.replicas.iter().copied().filter(is_new).collect();
        assert!(partition.adding.iter().all(|id| open.contains(id)), "{assignment:?}");
        // Those that are added are in sync before the move ends; others that are not may never be.
        let is_there = |id: &&BrokerId| partition.in_sync.contains(id) || partition.adding.contains(id);
        let needed = partition.min_isr.min(partition.in_sync.len()).min(partition.copies);
        assert!(assignment.replicas.iter().filter(is_there).count() >= needed, "{assignment:?} of {partition:?}");
        partition.removing = held.iter().copied().filter(|id| !assignment.replicas.contains(id)).collect();
        partition.target = assignment.replicas.clone();
        if partition.adding.is_empty() {
            self.end(&assignment.place.clone());
        }
    }

    /// Ends a move, as the controller does: the copies that were added are in sync, those that are not wanted go.
    fn end(&mut self, place: &Place) {
        let alive: Vec<_> = self.view.brokers.iter().filter(|one| one.alive).map(|one| one.id).collect();
        let partition = self.at(place);
        partition.in_sync = partition.target.iter().copied().filter(|id| alive.contains(id)).collect();
        if partition.leader.is_none_or(|leader| !partition.target.contains(&leader)) {
            partition.leader = partition.in_sync.first().copied();
        }
        let copied = partition.bytes * partition.adding.len() as u64;
        (partition.adding, partition.removing) = (Vec::new(), Vec::new());
        self.copied += copied;
    }

    /// Ends the move that `pick` chooses among those under way.
    fn end_one(&mut self, pick: usize) {
        let moving: Vec<_> = self.view.partitions.iter().filter(|one| one.is_moving()).map(Partition::place).collect();
        if !moving.is_empty() {
            self.end(&moving[pick % moving.len()]);
        }
    }

    /// Plans and moves until there is nothing left to do; fails if that takes too long.
    fn settle(&mut self, picks: &[usize]) {
        let bound = 40 * (self.view.partitions.len() + 10);
        for turn in 0..bound {
            let idle = !self.begin();
            if idle && self.moving() == 0 {
                return;
            }
            self.end_one(picks[turn % picks.len()]);
        }
        panic!("not settled after {bound} turns: {:?}", next(&self.view, &self.limits));
    }
}

/// Brokers in racks, how many leave, partitions with their copies where placement left them.
fn clusters(racks: bool) -> impl Strategy<Value = (View, Limits)> {
    let sizes = (3_i32..9, 0_i32..4, 1_usize..4, 1_usize..40, 1_usize..12);
    sizes
        .prop_flat_map(move |(staying, leaving, topics, partitions, moves)| {
            let count = staying + leaving;
            let rack = prop::collection::vec(0_i32..3, count as usize);
            let copies = 1..=3_usize;
            let one = (copies, any::<prop::sample::Index>(), 1_u64..2000, any::<u64>());
            (rack, prop::collection::vec(one, partitions), Just((staying, count, topics, moves)))
        })
        .prop_map(move |(rack, partitions, (staying, count, topics, moves))| {
            let role = |id| if id < staying { Role::Member } else { Role::Leaving };
            let name = |id: i32| racks.then(|| format!("rack-{}", rack[id as usize]).into());
            let brokers = (0..count).map(|id| Broker { id: BrokerId(id), rack: name(id), alive: true, role: role(id) });
            let mut indexes = vec![0; topics];
            let partitions = partitions.into_iter().enumerate().map(|(at, (copies, first, size, seed))| {
                let topic = at % topics;
                indexes[topic] += 1;
                let mut ids: Vec<_> = (0..count).map(BrokerId).collect();
                let first = first.index(ids.len());
                ids.rotate_left(first);
                // Some crowd on the first brokers, as before a scale-out.
                let reach = ids.len().min(copies + (seed % 4) as usize);
                let rotation = (seed / 7) as usize % reach;
                ids[..reach].rotate_left(rotation);
                ids.truncate(copies);
                let in_sync = ids.clone();
                Partition {
                    topic: format!("topic-{topic}").into(),
                    index: indexes[topic] - 1,
                    leader: ids.first().copied(),
                    target: ids,
                    adding: Vec::new(),
                    removing: Vec::new(),
                    in_sync,
                    min_isr: copies.saturating_sub(1).max(1),
                    bytes: size * MB,
                    copies,
                }
            });
            let view = View { brokers: brokers.collect(), partitions: partitions.collect() };
            (view, Limits { moves, slack: 1, byte_slack: 1500 * MB })
        })
}

/// One broker is down, and partitions are to have a copy more or fewer: `seeds` says which.
fn ailing(view: &mut View, seeds: &[usize]) {
    let count = view.brokers.len();
    let down = &mut view.brokers[seeds[0] % count];
    down.alive = false;
    for (partition, seed) in view.partitions.iter_mut().zip(seeds.iter().cycle()) {
        partition.in_sync.retain(|broker| *broker != down.id);
        partition.leader = partition.in_sync.first().copied();
        partition.copies = (partition.copies + seed % 3).saturating_sub(1).clamp(1, 3);
    }
}

fn spread<T: Ord + Copy + std::ops::Sub<Output = T>>(all: impl Iterator<Item = T> + Clone) -> T {
    all.clone().max().unwrap() - all.min().unwrap()
}

/// 20 partitions of each of three topics with three copies, on three brokers of five.
fn three_of_five() -> View {
    let brokers = (0..5).map(|id| Broker { id: BrokerId(id), rack: None, alive: true, role: Role::Member });
    let partitions = (0..60).map(|at| {
        let target: Vec<_> = (0..3).map(|step| BrokerId((at + step) % 3)).collect();
        Partition {
            topic: format!("topic-{}", at / 20).into(),
            index: at % 20,
            leader: Some(target[0]),
            in_sync: target.clone(),
            target,
            adding: Vec::new(),
            removing: Vec::new(),
            min_isr: 2,
            bytes: 100 * MB,
            copies: 3,
        }
    });
    View { brokers: brokers.collect(), partitions: partitions.collect() }
}

#[test]
fn to_scale_out_and_in_again_copies_not_a_byte_more_than_must_be() {
    let mut world = World::new(three_of_five(), Limits { moves: 10, slack: 1, byte_slack: 500 * MB });
    world.settle(&[3, 1, 4, 1, 5, 9, 2, 6]);
    assert_eq!(world.copied, 2 * 36 * 100 * MB);
    for load in loads(&world.view).values() {
        assert_eq!((load.replicas, load.leaders), (36, 12));
    }
    let topics = |world: &World, broker: i32| {
        let mut counts = [0; 3];
        let held = world.view.partitions.iter().filter(|one| one.target.contains(&BrokerId(broker)));
        held.for_each(|one| counts[usize::from(one.topic.as_bytes()[6] - b'0')] += 1);
        counts
    };
    for broker in 0..5 {
        assert_eq!(topics(&world, broker), [12; 3], "each topic is spread over all brokers");
    }

    world.copied = 0;
    world.view.brokers.iter_mut().filter(|broker| broker.id.0 > 2).for_each(|broker| broker.role = Role::Leaving);
    world.settle(&[2, 7, 1, 8]);
    assert_eq!(world.copied, 2 * 36 * 100 * MB);
    assert_eq!(loads(&world.view).values().map(|load| load.replicas).collect::<Vec<_>>(), [60, 60, 60, 0, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cluster_comes_to_rest_even_and_with_its_leaving_brokers_empty(
        (view, limits) in clusters(false),
        picks in prop::collection::vec(any::<usize>(), 1..50),
    ) {
        let mut world = World::new(view, limits);
        world.settle(&picks);
        let loads = loads(&world.view);
        let members: Vec<Load> = world.view.brokers.iter()
            .filter(|broker| broker.role == Role::Member).map(|broker| loads[&broker.id]).collect();
        for broker in world.view.brokers.iter().filter(|broker| broker.role == Role::Leaving) {
            prop_assert_eq!(loads[&broker.id].replicas, 0);
        }
        prop_assert!(spread(members.iter().map(|load| load.replicas)) <= 1, "{members:?}");
        if limits.moves > 1 {
            prop_assert!(spread(members.iter().map(|load| load.leaders)) <= 1, "{members:?}");
        }
        prop_assert_eq!(next(&world.view, &world.limits), Changes::default());
    }

    #[test]
    fn copies_end_in_different_racks_while_there_are_enough(
        (view, limits) in clusters(true),
        picks in prop::collection::vec(any::<usize>(), 1..50),
    ) {
        let mut world = World::new(view, limits);
        world.settle(&picks);
        let racks: BTreeMap<_, _> = world.view.brokers.iter().map(|one| (one.id, one.rack.clone())).collect();
        let all: BTreeSet<_> =
            world.view.brokers.iter().filter(|one| one.role == Role::Member).map(|one| one.rack.clone()).collect();
        for partition in &world.view.partitions {
            let used: BTreeSet<_> = partition.target.iter().map(|id| &racks[id]).collect();
            prop_assert_eq!(used.len(), partition.copies.min(all.len()), "{:?} of {:?}", partition, all);
        }
    }

    #[test]
    fn hardly_more_is_copied_than_the_outcome_is_worth(
        (view, limits) in clusters(false),
        picks in prop::collection::vec(any::<usize>(), 1..50),
    ) {
        let before = loads(&view);
        let largest = view.partitions.iter().map(|partition| partition.bytes).max().unwrap();
        let must: u64 = view.brokers.iter().filter(|broker| broker.role == Role::Leaving)
            .map(|broker| before[&broker.id].bytes).sum();
        let mut world = World::new(view, limits);
        world.settle(&picks);
        let after = loads(&world.view);
        let gained: u64 = after.iter().map(|(id, load)| load.bytes.saturating_sub(before[id].bytes)).sum();
        prop_assert!(world.copied >= must);
        // Leaders may have to be evened out by copies that change places.
        let bound = gained + gained / 2 + largest * after.len() as u64;
        prop_assert!(world.copied <= bound, "{} copied, {} gained, {} had to go", world.copied, gained, must);
    }

    #[test]
    fn with_a_broker_down_no_move_gives_up_a_copy_that_acks_all_needs(
        (mut view, limits) in clusters(false),
        seeds in prop::collection::vec(any::<usize>(), 1..50),
    ) {
        ailing(&mut view, &seeds);
        let mut world = World::new(view, limits);
        world.settle(&seeds);
        let brokers = &world.view.brokers;
        let open = brokers.iter().filter(|one| one.role == Role::Member && one.alive).count();
        let led = || world.view.partitions.iter().filter(|one| one.leader.is_some());
        prop_assert!(led().all(|one| one.in_sync.len() >= one.copies.min(open).min(one.min_isr)));
        prop_assert!(led().all(|one| one.target.len() >= one.copies.min(open)));
    }

    #[test]
    fn a_number_of_copies_that_changes_midway_comes_about(
        (view, limits) in clusters(true),
        picks in prop::collection::vec(any::<usize>(), 1..50),
        turn in 0_usize..30,
    ) {
        let mut world = World::new(view, limits);
        for moment in 0..3 {
            for (partition, pick) in world.view.partitions.iter_mut().zip(picks.iter().cycle()) {
                partition.copies = 1 + (pick >> moment) % 3;
            }
            for pick in picks.iter().cycle().take(turn) {
                world.begin();
                world.end_one(*pick);
            }
        }
        world.settle(&picks);
        prop_assert!(world.view.partitions.iter().all(|one| one.target.len() == one.copies));
        prop_assert_eq!(next(&world.view, &world.limits), Changes::default());
    }

    #[test]
    fn turning_back_midway_comes_to_rest_as_well(
        (view, limits) in clusters(true),
        picks in prop::collection::vec(any::<usize>(), 1..50),
        turn in 1_usize..30,
    ) {
        let mut world = World::new(view, limits);
        for pick in picks.iter().cycle().take(turn) {
            world.begin();
            world.end_one(*pick);
        }
        world.view.brokers.iter_mut().for_each(|broker| broker.role = Role::Member);
        world.settle(&picks);
        prop_assert_eq!(next(&world.view, &world.limits), Changes::default());
    }
}
