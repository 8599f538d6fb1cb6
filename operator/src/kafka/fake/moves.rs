//! Reassignments of the fake: they take a while, and end as KIP-455 says.

use super::*;

/// What every partition weighs, if nothing else is said.
pub const BYTES: u64 = 1 << 20;
/// After how many looks at the placements a move has ended, if nothing else is said.
pub const LOOKS: u64 = 2;

/// The moves under way, by topic and partition.
pub type Moves = BTreeMap<(String, i32), Move>;

/// A move under way.
#[derive(Clone, Debug, Default)]
pub struct Move {
    adding: Vec<BrokerId>,
    removing: Vec<BrokerId>,
    looks: u64,
}

impl Move {
    /// Whether it gives `broker` a copy.
    pub(super) fn adds(&self, broker: BrokerId) -> bool {
        self.adding.contains(&broker)
    }

    /// A byte is copied between two looks.
    pub(super) fn bytes_left(&self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.looks)
    }
}

impl State {
    /// Where everything lies; time passes for the moves and for brokers that catch up.
    pub(super) fn placements(&mut self) -> Vec<TopicPlacement> {
        self.moves.values_mut().for_each(|one| one.looks += 1);
        self.catch_up();
        self.go_on_with_shifts();
        let ended: Vec<_> =
            self.moves.iter().filter(|(_, one)| self.has_ended(one)).map(|(at, _)| at.clone()).collect();
        ended.iter().for_each(|(topic, partition)| self.end(topic, *partition));
        let none = Move::default();
        let topics = self.topics.iter().map(|(name, (view, config))| TopicPlacement {
            topic: name.clone(),
            min_in_sync: min_in_sync(config),
            partitions: (0..)
                .zip(&view.partitions)
                .map(|(index, state)| {
                    let moving = self.moves.get(&(name.clone(), index)).unwrap_or(&none);
                    PartitionPlacement {
                        index,
                        target: without(&state.replicas, &moving.removing),
                        adding: moving.adding.clone(),
                        removing: moving.removing.clone(),
                        in_sync: state.in_sync.clone(),
                        leader: state.leader,
                        bytes: Some(self.partition_bytes),
                    }
                })
                .collect(),
        });
        topics.collect()
    }

    /// The topic and the moves of its partitions.
    pub(super) fn topic_with_moves(&self, name: &str) -> Option<TopicView> {
        let (mut view, _) = self.topics.get(name)?.clone();
        for ((_, partition), one) in self.moves.iter().filter(|((topic, _), _)| topic == name) {
            let state = &mut view.partitions[usize::try_from(*partition).unwrap()];
            (state.adding, state.removing) = (one.adding.clone(), one.removing.clone());
        }
        Some(view)
    }

    fn has_ended(&self, one: &Move) -> bool {
        one.looks >= self.looks_of_a_move && one.adding.iter().all(|broker| self.serves(*broker))
    }

    /// Begins, replaces or calls off a move.
    pub(super) fn reassign(&mut self, wanted: &Reassignment) -> Option<NotReassigned> {
        let (topic, partition) = (wanted.topic.clone(), wanted.partition);
        let refuse = |reason: &str| Some(NotReassigned { topic: topic.clone(), partition, reason: reason.to_owned() });
        let at = (topic.clone(), partition);
        let moving = self.moves.get(&at).cloned().unwrap_or_default();
        let state =
            self.topics.get(&topic).and_then(|(view, _)| view.partitions.get(usize::try_from(partition).unwrap()));
        let Some(state) = state else { return refuse("no such partition") };
        let target = match &wanted.replicas {
            Some(replicas) => replicas.clone(),
            None if self.moves.contains_key(&at) => without(&state.replicas, &moving.adding),
            None => return None,
        };
        let may_take = |id: &BrokerId| {
            let mut brokers = self.brokers.iter();
            state.replicas.contains(id) || brokers.any(|broker| broker.id == *id && !broker.cordoned)
        };
        if !target.iter().all(may_take) {
            return refuse("a broker is cordoned or not registered");
        }
        // What an earlier move was adding in vain goes at once.
        let held = without(&state.replicas, &moving.adding);
        let (adding, removing) = (without(&target, &held), without(&held, &target));
        let all = [target, removing.clone()].concat();
        let done = adding.is_empty();
        self.partition(&topic, partition).replicas = all;
        self.moves.insert(at, Move { adding, removing, looks: 0 });
        if done {
            self.end(&topic, partition);
        }
        None
    }

    fn end(&mut self, topic: &str, partition: i32) {
        let moving = self.moves.remove(&(topic.to_owned(), partition)).unwrap_or_default();
        let serving: Vec<_> = self.brokers.iter().filter(|one| !one.fenced).map(|one| one.id).collect();
        let state = self.partition(topic, partition);
        state.replicas = without(&state.replicas, &moving.removing);
        state.in_sync = state.replicas.iter().copied().filter(|id| serving.contains(id)).collect();
        if state.leader.is_none_or(|leader| !state.in_sync.contains(&leader)) {
            state.leader = state.in_sync.first().copied();
        }
        if state.leader.is_none() {
            self.violations.push(format!("{topic}-{partition} lost its leader to a move"));
        }
    }

    pub(super) fn elect(&mut self, topic: &str, partition: i32) {
        if self.topics.contains_key(topic) {
            let state = self.partition(topic, partition);
            let preferred = state.replicas.first().filter(|first| state.in_sync.contains(first)).copied();
            state.leader = preferred.or(state.leader);
        }
    }

    pub(super) fn partition(&mut self, topic: &str, partition: i32) -> &mut PartitionView {
        &mut self.topics.get_mut(topic).unwrap().0.partitions[usize::try_from(partition).unwrap()]
    }

    pub(super) fn serves(&self, id: BrokerId) -> bool {
        self.brokers.iter().any(|broker| broker.id == id && !broker.fenced)
    }
}

/// In-sync replicas that acks=all needs.
pub(super) fn min_in_sync(config: &OwnConfig) -> usize {
    config.get("min.insync.replicas").map_or(1, |text| text.parse().unwrap())
}

fn without(list: &[BrokerId], others: &[BrokerId]) -> Vec<BrokerId> {
    list.iter().copied().filter(|id| !others.contains(id)).collect()
}
