//! The administrator: topics, configurations, elections, moves, voters of the metadata log.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_core::TopicId;
use ottla_core::controller::{
    AlterPartitionReassignments, BalanceLeaders, ConfigChange, ConfigOp, CreateTopics, ElectLeaders, ElectionKind,
    IncrementalAlterConfigs, NewTopic, Operation, Reassignment, ResourceChanges, UnregisterBroker,
};
use ottla_core::metadata::Resource;
use ottla_core::{BrokerId, Offset};

use crate::machine::{Machine, Purpose};
use crate::message::{Event, Tp};
use crate::raft::{NodeKey, Payload};
use crate::truth::Known;
use crate::world::World;

/// What the administrator remembers.
#[derive(Debug, Default)]
pub struct Admin {
    /// Clients are at work.
    pub employed: bool,
    /// No more changes are wanted; what is needed to be whole again is still done.
    pub resting: bool,
    /// Partitions whose every complete copy is gone, given up to whoever holds something.
    pub rescues: BTreeSet<Tp>,
}

impl World {
    pub(crate) fn administer(&mut self) {
        let founded = !self.truth.image.cluster_id().is_empty();
        let pause =
            if self.admin.employed { self.dice.millis(100, self.plan.admin) } else { Duration::from_millis(50) };
        self.after(pause, Event::Admin);
        if !founded {
            return;
        }
        if !self.admin.employed {
            return self.set_up();
        }
        self.mend_quorum();
        if self.admin.resting {
            return;
        }
        match self.dice.roll(11) {
            0 => self.change_durability(),
            1 => self.change_min_isr(),
            2 => self.stop_someone(),
            3 => self.change_voters(),
            4 | 5 => self.elect_preferred(),
            6 => self.cancel_move(),
            7 => self.unregister_someone(),
            _ => self.move_partition(),
        }
    }

    /// Has every topic of the plan created, then lets the clients begin.
    fn set_up(&mut self) {
        let image = &self.truth.image;
        let serving = image.brokers().values().filter(|broker| !broker.fenced).count();
        if serving < self.plan.brokers {
            return;
        }
        let missing = self.plan.topics.iter().find(|topic| image.topic(&topic.name).is_none()).cloned();
        let Some(topic) = missing else {
            self.admin.employed = true;
            for tp in self.truth.all() {
                self.employ_clients(tp);
            }
            let delay = self.dice.millis(100, 2_000);
            self.after(delay, Event::Fault);
            return;
        };
        let id = TopicId(uuid::Uuid::from_u128(1_000_000 + u128::from(self.number())));
        let durability = if topic.fsync { "fsync" } else { "replicated" };
        let configs = [
            ("ottla.durability", durability.to_owned()),
            ("min.insync.replicas", topic.min_isr.to_string()),
            ("unclean.leader.election.enable", topic.unclean.to_string()),
        ];
        let new = NewTopic {
            partitions: topic.partitions,
            replication_factor: topic.replicas,
            configs: configs.map(|(key, value)| (key.to_owned(), Some(value))).into(),
            ..NewTopic::with_defaults(topic.name, id)
        };
        self.command(CreateTopics { topics: vec![new], validate_only: false });
    }

    /// Has some broker put a command to the controller.
    pub(crate) fn command(&mut self, operation: impl Operation) {
        let awake: Vec<usize> = self.machines.iter().filter(|one| one.is_awake()).map(|one| one.id).collect();
        if let Some(broker) = self.dice.pick(&awake).copied() {
            self.ask(broker, Purpose::Other, operation);
        }
    }

    fn set(&mut self, topic: &str, key: &str, value: String) {
        let change = ConfigChange { key: key.to_owned(), op: ConfigOp::Set, value: Some(value) };
        let resources = vec![ResourceChanges { resource: Resource::topic(topic), changes: vec![change] }];
        self.command(IncrementalAlterConfigs { resources, validate_only: false });
    }

    fn change_durability(&mut self) {
        let Some(topic) = self.dice.pick(&self.plan.topics).map(|topic| topic.name.clone()) else { return };
        let value = if self.dice.one_in(2) { "fsync" } else { "replicated" };
        self.coverage.count("durability changes");
        self.set(&topic, "ottla.durability", value.to_owned());
    }

    fn change_min_isr(&mut self) {
        let Some(topic) = self.dice.pick(&self.plan.topics).cloned() else { return };
        let value = self.dice.between(1, topic.replicas.min(3) as u64);
        self.coverage.count("min ISR changes");
        self.set(&topic.name, "min.insync.replicas", value.to_string());
    }

    /// A broker is asked to stop, as a rolling restart does.
    fn stop_someone(&mut self) {
        let broker = self.dice.index(self.machines.len());
        if let Some(process) = self.process(broker) {
            process.stopping = true;
            self.note("asked to stop", &[("broker", broker as i64)]);
        }
    }

    /// A broker that does not run is taken for gone for good, which it is not.
    fn unregister_someone(&mut self) {
        let known = |machine: &&Machine| {
            let broker = self.truth.image.broker(BrokerId(machine.id as i32));
            machine.process.is_none() && broker.is_some_and(|broker| broker.fenced)
        };
        let gone: Vec<usize> = self.machines.iter().filter(known).map(|machine| machine.id).collect();
        if let Some(broker) = self.dice.pick(&gone).copied() {
            self.note("unregistered", &[("broker", broker as i64)]);
            self.coverage.count("brokers unregistered");
            self.command(UnregisterBroker { broker: BrokerId(broker as i32) });
        }
    }

    fn elect_preferred(&mut self) {
        self.coverage.count("preferred elections asked for");
        if self.dice.one_in(2) {
            self.command(BalanceLeaders { limit: 2 });
        } else {
            self.command(ElectLeaders { kind: ElectionKind::Preferred, partitions: None });
        }
    }

    /// A partition is to have other replicas, or more, or fewer.
    fn move_partition(&mut self) {
        let Some(tp) = self.dice.pick(&self.truth.all()).copied() else { return };
        let mut brokers: Vec<BrokerId> = self.truth.image.brokers().keys().copied().collect();
        self.dice.shuffle(&mut brokers);
        let count = 1 + self.dice.index(brokers.len());
        brokers.truncate(count.max(self.dice.index(4)));
        self.coverage.count("moves asked for");
        self.reassign(tp, Some(brokers));
    }

    fn cancel_move(&mut self) {
        let moving = |tp: &Tp| self.truth.state(*tp).is_some_and(|(_, state)| state.is_moving());
        let moving: Vec<Tp> = self.truth.all().into_iter().filter(moving).collect();
        if let Some(tp) = self.dice.pick(&moving).copied() {
            self.coverage.count("moves cancelled");
            self.reassign(tp, None);
        }
    }

    fn reassign(&mut self, tp: Tp, target: Option<Vec<BrokerId>>) {
        let Some((topic, _)) = self.truth.state(tp) else { return };
        let reassignments = vec![Reassignment { topic: topic.to_owned(), partition: tp.partition, target }];
        self.command(AlterPartitionReassignments { reassignments, allow_replication_factor_change: true });
    }

    /// Partitions that stay without a leader though every broker runs: more was lost than was promised to survive, or
    /// the wait for the missing copies would be a fault.
    pub(crate) fn rescue(&mut self) {
        for tp in self.truth.all() {
            let Some((topic, state)) = self.truth.state(tp) else { continue };
            let nothing_to_lose = |known: &Known| known.end() == Offset::ZERO || known.bad.len() >= known.least_min_isr;
            let excused = self.truth.partitions.get(&tp).is_some_and(nothing_to_lose);
            if state.leader == BrokerId::NONE && excused {
                let partitions = Some(vec![(topic.to_owned(), vec![tp.partition])]);
                self.admin.rescues.insert(tp);
                self.coverage.count("partitions given up");
                self.command(ElectLeaders { kind: ElectionKind::Unclean, partitions });
            }
        }
    }

    /// The node that leads the metadata log and may change its voters now.
    fn quorum_leader(&self) -> Option<usize> {
        let may = |machine: &&Machine| {
            let Some(process) = &machine.process else { return false };
            let log = &machine.disk.raft.log;
            let last_change = log.iter().rposition(|entry| matches!(entry.payload, Payload::Voters(_))).unwrap_or(0);
            machine.is_awake()
                && process.raft.reign().is_some_and(|first| first < process.raft.committed())
                && last_change < process.raft.committed()
        };
        self.machines.iter().filter(may).max_by_key(|machine| machine.disk.raft.term).map(|machine| machine.id)
    }

    fn propose_voters(&mut self, leader: usize, voters: Vec<NodeKey>) {
        let machine = &mut self.machines[leader];
        let Some(process) = &mut machine.process else { return };
        process.raft.propose(&mut machine.disk.raft, Payload::Voters(voters));
        self.replicate(leader);
    }

    /// One broker becomes a voter of the metadata log, or is one no more.
    fn change_voters(&mut self) {
        let Some(leader) = self.quorum_leader() else { return };
        let mut voters = self.machines[leader].disk.raft.voters().to_vec();
        let other = self.dice.index(self.machines.len());
        let key = self.machines[other].disk.key(other);
        if other == leader {
            return;
        }
        match voters.iter().position(|voter| *voter == key) {
            Some(place) if voters.len() > 3 => {
                voters.remove(place);
                self.coverage.count("voters removed");
            }
            None if self.machines[other].is_awake() => {
                voters.push(key);
                self.coverage.count("voters added");
            }
            Some(_) | None => return,
        }
        self.propose_voters(leader, voters);
    }

    /// A voter whose disk is gone is replaced by what its broker has now.
    fn mend_quorum(&mut self) {
        let Some(leader) = self.quorum_leader() else { return };
        let mut voters = self.machines[leader].disk.raft.voters().to_vec();
        let gone = voters.iter().position(|voter| self.machines[voter.broker].disk.key(voter.broker) != *voter);
        let Some(gone) = gone else { return };
        let successor = self.machines[voters[gone].broker].disk.key(voters[gone].broker);
        if voters.contains(&successor) || !self.machines[successor.broker].is_awake() {
            voters.remove(gone);
        } else {
            // First the new one, which has nothing yet; the old one goes when that is committed.
            voters.push(successor);
            self.coverage.count("voters replaced");
        }
        self.propose_voters(leader, voters);
    }

    /// Whether `tp` is whole: led, and every replica in sync.
    pub(crate) fn is_whole(&self, tp: Tp) -> bool {
        self.truth.state(tp).is_some_and(|(_, state)| {
            state.leader != BrokerId::NONE && state.isr.len() == state.replicas.len() && !state.is_moving()
        })
    }
}
