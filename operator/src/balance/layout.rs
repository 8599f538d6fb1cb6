//! The working copy that a plan is made on: who holds what once everything decided so far is done.

use std::collections::{BTreeMap, HashMap};

use ottla_core::ids::BrokerId;

use super::{Assignment, Broker, Partition, Role, View, racks::Racks};

/// What a broker carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub replicas: usize,
    pub leaders: usize,
    pub bytes: u64,
}

/// Brokers and partitions by position, with the changes decided so far.
pub(super) struct Layout<'a> {
    partitions: &'a [Partition],
    brokers: Vec<Broker>,
    positions: BTreeMap<BrokerId, usize>,
    pub racks: Racks,
    /// Positions of the brokers that carry their share and serve.
    pub members: Vec<usize>,
    pub loads: Vec<Load>,
    /// By partition: positions of the brokers, the preferred leader first.
    targets: Vec<Vec<usize>>,
    /// Partitions by broker as they were at first.
    on: Vec<Vec<usize>>,
    /// Topics by partition, and how many copies of each topic a broker holds.
    topic_of: Vec<usize>,
    topic_loads: HashMap<(usize, usize), usize>,
    /// Partitions that are moving already, or that this plan has changed.
    fixed: Vec<bool>,
    changed: Vec<usize>,
}

impl<'a> Layout<'a> {
    /// The layout of `view`. A broker that holds copies and is not registered counts as one that leaves.
    pub(super) fn new(view: &'a View) -> Self {
        let mut brokers = view.brokers.clone();
        let mut positions: BTreeMap<BrokerId, usize> =
            brokers.iter().enumerate().map(|(position, broker)| (broker.id, position)).collect();
        let named = |partition: &'a Partition| partition.target.iter().chain(&partition.removing);
        for id in view.partitions.iter().flat_map(named) {
            positions.entry(*id).or_insert_with(|| {
                brokers.push(Broker { id: *id, rack: None, alive: false, role: Role::Leaving });
                brokers.len() - 1
            });
        }
        let (mut names, mut topic_of) = (HashMap::new(), Vec::with_capacity(view.partitions.len()));
        for partition in &view.partitions {
            let next = names.len();
            topic_of.push(*names.entry(partition.topic.clone()).or_insert(next));
        }
        let targets = view.partitions.iter().map(|partition| partition.target.iter().map(|id| positions[id]).collect());
        let mut layout = Self {
            partitions: &view.partitions,
            racks: Racks::new(&brokers),
            members: Vec::new(),
            loads: vec![Load::default(); brokers.len()],
            targets: targets.collect(),
            on: vec![Vec::new(); brokers.len()],
            topic_of,
            topic_loads: HashMap::new(),
            fixed: view.partitions.iter().map(Partition::is_moving).collect(),
            changed: Vec::new(),
            positions,
            brokers,
        };
        layout.members = (0..layout.brokers.len()).filter(|at| layout.is_open(*at)).collect();
        for partition in 0..layout.targets.len() {
            layout.count(partition, true);
            for broker in layout.targets[partition].clone() {
                layout.on[broker].push(partition);
            }
        }
        layout
    }

    fn is_open(&self, broker: usize) -> bool {
        self.brokers[broker].role == Role::Member && self.brokers[broker].alive
    }

    /// Whether every broker that carries its share serves; else nobody knows what is even.
    pub(super) fn all_members_serve(&self) -> bool {
        self.brokers.iter().all(|broker| broker.role != Role::Member || broker.alive)
    }

    pub(super) fn is_leaving(&self, broker: usize) -> bool {
        self.brokers[broker].role == Role::Leaving
    }

    pub(super) fn serves(&self, broker: usize) -> bool {
        self.brokers[broker].alive
    }

    pub(super) fn id(&self, broker: usize) -> BrokerId {
        self.brokers[broker].id
    }

    pub(super) fn partition(&self, partition: usize) -> &'a Partition {
        &self.partitions[partition]
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Where `partition` will lie.
    pub(super) fn target(&self, partition: usize) -> &[usize] {
        &self.targets[partition]
    }

    /// Whether `partition` is left alone by this plan: it moves, or has been changed.
    pub(super) fn is_fixed(&self, partition: usize) -> bool {
        self.fixed[partition]
    }

    /// Partitions that lie on `broker` and may be changed for the sake of evenness.
    pub(super) fn movable_on(&self, broker: usize) -> impl Iterator<Item = usize> + '_ {
        self.on[broker]
            .iter()
            .copied()
            .filter(|partition| !self.fixed[*partition])
            .filter(|partition| !self.partitions[*partition].is_moving() && self.partitions[*partition].is_whole())
    }

    /// Whether the copy of `partition` on `from` may lie on `to` instead.
    pub(super) fn may_move(&self, partition: usize, from: usize, to: usize) -> bool {
        let target = &self.targets[partition];
        if target.contains(&to) || !self.is_open(to) {
            return false;
        }
        let others = target.iter().copied().filter(|other| *other != from);
        self.racks.are_neighbours(from, to) || !self.racks.is_full(to, others, target.len())
    }

    /// How many copies of the topic of `partition` lie on `broker`.
    pub(super) fn topic_load(&self, partition: usize, broker: usize) -> usize {
        self.topic_loads.get(&(self.topic_of[partition], broker)).copied().unwrap_or(0)
    }

    /// Lets this plan change where `partition` goes although it is moving.
    pub(super) fn release(&mut self, partition: usize) {
        self.fixed[partition] = false;
    }

    /// Counts `partition` as lying on the brokers `ids` again, where it was before its move.
    pub(super) fn revert(&mut self, partition: usize, ids: &[BrokerId]) {
        self.count(partition, false);
        self.targets[partition] = ids.iter().filter_map(|id| self.positions.get(id).copied()).collect();
        self.count(partition, true);
    }

    /// Whether the broker is known to leave.
    pub(super) fn is_leaving_id(&self, id: BrokerId) -> bool {
        self.positions.get(&id).is_none_or(|broker| self.is_leaving(*broker))
    }

    /// Gives `partition` other brokers, or the same in another order, and leaves it alone from then on.
    pub(super) fn assign(&mut self, partition: usize, target: Vec<usize>) {
        self.count(partition, false);
        self.targets[partition] = target;
        self.count(partition, true);
        self.fixed[partition] = true;
        self.changed.push(partition);
    }

    /// Moves the copy of `partition` on `from` to `to`, which takes its place in the order.
    pub(super) fn move_copy(&mut self, partition: usize, from: usize, to: usize) {
        let replace = |broker: &usize| if *broker == from { to } else { *broker };
        let target = self.targets[partition].iter().map(replace).collect();
        self.assign(partition, target);
    }

    /// All that was assigned.
    pub(super) fn assignments(&self) -> Vec<Assignment> {
        let assignment = |partition: &usize| Assignment {
            place: self.partitions[*partition].place(),
            replicas: self.targets[*partition].iter().map(|broker| self.id(*broker)).collect(),
        };
        self.changed.iter().map(assignment).collect()
    }

    /// The least and the greatest of what `measure` says of the members.
    pub(super) fn range<T: Ord + Copy>(&self, measure: impl Fn(&Load) -> T) -> Option<(T, T)> {
        let all = || self.members.iter().map(|broker| measure(&self.loads[*broker]));
        Some((all().min()?, all().max()?))
    }

    /// The members, from the least of what `measure` says of them to the greatest.
    pub(super) fn members_by<T: Ord>(&self, measure: impl Fn(&Load) -> T) -> Vec<usize> {
        let mut members = self.members.clone();
        members.sort_by_key(|broker| (measure(&self.loads[*broker]), *broker));
        members
    }

    fn count(&mut self, partition: usize, is_added: bool) {
        let (bytes, topic) = (self.partitions[partition].bytes, self.topic_of[partition]);
        for (position, broker) in self.targets[partition].iter().enumerate() {
            let load = &mut self.loads[*broker];
            let of_topic = self.topic_loads.entry((topic, *broker)).or_default();
            let leads = usize::from(position == 0);
            if is_added {
                (load.replicas, load.leaders, load.bytes) =
                    (load.replicas + 1, load.leaders + leads, load.bytes.saturating_add(bytes));
                *of_topic += 1;
            } else {
                (load.replicas, load.leaders, load.bytes) =
                    (load.replicas - 1, load.leaders - leads, load.bytes.saturating_sub(bytes));
                *of_topic -= 1;
            }
        }
    }
}
