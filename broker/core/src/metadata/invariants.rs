//! What must be true of every image, whatever happened: asserted after each step by tests and the simulation.

use super::{Image, Partition, Resource};
use crate::{BrokerId, TopicPartition};

/// An invariant that an image breaks (B6 of the reliability contract, and what the image itself rests on).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{partition}: {rule}: {state:?}")]
pub struct Violation {
    /// The partition.
    pub partition: TopicPartition,
    /// The rule, as it should be.
    pub rule: &'static str,
    /// The partition's state.
    pub state: Box<Partition>,
}

impl Image {
    /// Every broken invariant; none unless there is a bug. `default_min_isr` is what min.insync.replicas is where
    /// neither topic nor cluster sets it.
    pub fn violations(&self, default_min_isr: usize) -> Vec<Violation> {
        let mut violations = Vec::new();
        for topic in self.topics().iter() {
            let min_isr = self.min_isr(topic.name.as_str(), default_min_isr);
            for (index, state) in topic.indexed() {
                violations.extend(self.broken_rules(state, min_isr).map(|rule| Violation {
                    partition: TopicPartition::new(topic.name.clone(), index),
                    rule,
                    state: Box::new(Partition::clone(state)),
                }));
            }
        }
        violations
    }

    /// min.insync.replicas of `topic`: its own, else the cluster's, else `default`.
    pub fn min_isr(&self, topic: &str, default: usize) -> usize {
        const KEY: &str = "min.insync.replicas";
        let own = self.config_value(&Resource::topic(topic), KEY);
        let value = own.or_else(|| self.config_value(&Resource::every_broker(), KEY));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(default)
    }

    fn broken_rules<'a>(&'a self, state: &'a Partition, min_isr: usize) -> impl Iterator<Item = &'static str> + 'a {
        let holds = |broker: &BrokerId| state.replica_on(*broker).is_some();
        let rules = [
            ("replicas are distinct and at least one", !state.replicas.is_empty() && distinct(state.brokers())),
            ("ISR ⊆ replicas, each once", state.isr.iter().all(holds) && distinct(state.isr.iter().copied())),
            ("ELR ⊆ replicas, each once", state.elr.iter().all(holds) && distinct(state.elr.iter().copied())),
            ("ISR and ELR are disjoint", !state.isr.iter().any(|broker| state.elr.contains(broker))),
            ("ISR ≥ min ISR ⇒ ELR empty", state.elr.is_empty() || state.isr.len() < state.effective_min_isr(min_isr)),
            ("a fenced broker is in no ISR", state.isr.iter().all(|broker| self.is_active(*broker))),
            (
                "an ISR member is in a directory that its broker has",
                state.isr.iter().all(|broker| state.replica_on(*broker).is_some_and(|replica| self.is_online(replica))),
            ),
            ("a move has a target", state.target().next().is_some()),
            ("the leader is in the ISR", state.leader == BrokerId::NONE || state.isr.contains(&state.leader)),
            ("adding and removing ⊆ replicas", state.adding.iter().chain(&state.removing).all(holds)),
            ("an active ISR member leads, if there is one", state.leader != BrokerId::NONE || state.isr.is_empty()),
        ];
        rules.into_iter().filter(|(_, kept)| !kept).map(|(rule, _)| rule)
    }
}

fn distinct(brokers: impl Iterator<Item = BrokerId>) -> bool {
    let mut seen = Vec::new();
    for broker in brokers {
        if seen.contains(&broker) {
            return false;
        }
        seen.push(broker);
    }
    true
}
