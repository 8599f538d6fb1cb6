//! Members subscribe to different topics: what they have stays, the rest goes to whoever has least, and then partitions
//! move along chains of members until no move makes the shares more equal. That is the optimum: without a chain from a
//! member to one that has two less, the sum of the squares of the shares is least.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::{Partitions, Question};
use crate::TopicId;

struct Balance<'a> {
    question: &'a Question<'a>,
    /// The members, by position, that subscribe to a topic.
    subscribers: BTreeMap<TopicId, Vec<usize>>,
    /// By member, then topic.
    owned: Vec<BTreeMap<TopicId, BTreeSet<i32>>>,
    load: Vec<usize>,
}

/// One partition at a time, each at the cost of looking at the members that could have it.
pub(super) fn assign(question: &Question<'_>) -> BTreeMap<Arc<str>, Partitions> {
    let mut balance = Balance::keeping(question);
    balance.hand_out();
    balance.even_out();
    let share = |topics: BTreeMap<TopicId, BTreeSet<i32>>| {
        topics.into_iter().flat_map(|(topic, set)| set.into_iter().map(move |p| (topic, p))).collect()
    };
    let ids = question.members.iter().map(|member| Arc::clone(member.id));
    ids.zip(balance.owned.into_iter().map(share)).collect()
}

impl<'a> Balance<'a> {
    /// With what the members may keep.
    fn keeping(question: &'a Question<'a>) -> Self {
        let members = question.members.len();
        let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
        let mut balance = Self {
            question,
            subscribers: BTreeMap::new(),
            owned: vec![BTreeMap::new(); members],
            load: vec![0; members],
        };
        let mut kept = HashSet::new();
        for (position, member) in question.members.iter().enumerate() {
            for topic in member.topics.iter() {
                subscribers.entry(*topic).or_default().push(position);
            }
            for (topic, partition) in member.target.iter() {
                if question.fits(member, topic, partition) && kept.insert((topic, partition)) {
                    balance.give(position, topic, partition);
                }
            }
        }
        balance.subscribers = subscribers;
        balance
    }

    fn give(&mut self, member: usize, topic: TopicId, partition: i32) {
        self.owned[member].entry(topic).or_default().insert(partition);
        self.load[member] += 1;
    }

    /// Takes some partition of `topic` away from `member`.
    fn take(&mut self, member: usize, topic: TopicId) -> Option<i32> {
        let partitions = self.owned[member].get_mut(&topic)?;
        let partition = partitions.pop_last()?;
        if partitions.is_empty() {
            self.owned[member].remove(&topic);
        }
        self.load[member] -= 1;
        Some(partition)
    }

    /// Gives what nobody has to the subscriber with least; topics with few subscribers first.
    fn hand_out(&mut self) {
        let taken: HashSet<(TopicId, i32)> = self
            .owned
            .iter()
            .flat_map(|topics| topics.iter().flat_map(|(topic, set)| set.iter().map(|p| (*topic, *p))))
            .collect();
        let mut topics: Vec<TopicId> = self.subscribers.keys().copied().collect();
        topics.sort_by_key(|topic| self.subscribers[topic].len());
        for topic in topics {
            let count = self.question.topics.get(&topic).copied().unwrap_or(0);
            for partition in (0..count).filter(|partition| !taken.contains(&(topic, *partition))) {
                let least = self.subscribers[&topic].iter().copied().min_by_key(|member| self.load[*member]);
                if let Some(member) = least {
                    self.give(member, topic, partition);
                }
            }
        }
    }

    /// Moves partitions until no chain makes the shares more equal. Each move makes the sum of squares less.
    fn even_out(&mut self) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            let mut members: Vec<usize> = (0..self.load.len()).collect();
            members.sort_by_key(|member| std::cmp::Reverse(self.load[*member]));
            let mut stuck = HashSet::new();
            for member in members {
                while !stuck.contains(&member) && self.may_have_too_much(member) {
                    match self.relieve(member) {
                        Ok(()) => {
                            moved = true;
                            stuck.clear();
                        }
                        Err(reached) => stuck.extend(reached.into_iter().chain([member])),
                    }
                }
            }
        }
    }

    /// Whether anybody has two less.
    fn may_have_too_much(&self, member: usize) -> bool {
        self.load.iter().any(|load| load + 2 <= self.load[member])
    }

    /// Moves one partition off `from`, along the shortest chain to a member that has two less. If there is none, gives the
    /// members that were reached and have no more than `from`: there is none for them either, until something moves.
    fn relieve(&mut self, from: usize) -> Result<(), Vec<usize>> {
        let mut reached: HashMap<usize, (usize, TopicId)> = HashMap::new();
        let mut seen_topics = HashSet::new();
        let mut queue = VecDeque::from([from]);
        while let Some(member) = queue.pop_front() {
            for topic in self.owned[member].keys() {
                if !seen_topics.insert(*topic) {
                    continue;
                }
                for &next in &self.subscribers[topic] {
                    if next == from || reached.contains_key(&next) {
                        continue;
                    }
                    reached.insert(next, (member, *topic));
                    if self.load[next] + 2 <= self.load[from] {
                        self.shift(from, next, &reached);
                        return Ok(());
                    }
                    queue.push_back(next);
                }
            }
        }
        Err(reached.into_keys().filter(|member| self.load[*member] <= self.load[from]).collect())
    }

    /// Moves a partition over each link of the chain that ends at `to`.
    fn shift(&mut self, from: usize, to: usize, reached: &HashMap<usize, (usize, TopicId)>) {
        let mut receiver = to;
        while receiver != from {
            let Some((giver, topic)) = reached.get(&receiver).copied() else { return };
            if let Some(partition) = self.take(giver, topic) {
                self.give(receiver, topic, partition);
            }
            receiver = giver;
        }
    }
}
