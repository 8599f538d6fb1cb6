//! One run of a seed: turmoil, then peace, then the reckoning.

use std::rc::Rc;
use std::time::Duration;

use crate::admin::Admin;
use crate::clients::Clients;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::faults::Faults;
use crate::machine::Machine;
use crate::message::Event;
use crate::network::Network;
use crate::plan::Plan;
use crate::queue::Queue;
use crate::raft::{Payload, RaftEntry};
use crate::trace::Trace;
use crate::truth::Truth;
use crate::world::{Violation, World};

/// How long after the end of all trouble everything must be whole again.
const RECOVERY: Duration = Duration::from_secs(40);

/// How long a partition may wait for its leader before it is given up, where that is allowed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first broken promise, if one was.
    pub violation: Option<Violation>,
    /// What took effect.
    pub coverage: Coverage,
    /// The hash over everything that happened.
    pub trace: u64,
}

/// Runs `seed`; `prints` writes the trace to standard output.
pub fn run(seed: u64, prints: bool) -> Outcome {
    let mut world = World::new(Plan::new(seed), prints);
    world.play();
    let World { violation, mut coverage, trace, clients, network, .. } = world;
    coverage.add(&network.fates);
    coverage.count_many("acks=all batches checked in the end", clients.history.acks() as u64);
    coverage.count_many("batches read", clients.history.reads() as u64);
    Outcome { seed, violation, coverage, trace: trace.hash() }
}

impl World {
    fn new(plan: Plan, prints: bool) -> Self {
        let mut dice = Dice::new(plan.seed);
        let machines: Vec<Machine> =
            (0..plan.brokers).map(|id| Machine::new(id, plan.directories, dice.millis(1_000, 100_000_000))).collect();
        let mut world = Self {
            dice,
            clock: Duration::ZERO,
            queue: Queue::default(),
            network: Network::default(),
            machines,
            truth: Truth::default(),
            clients: Clients::default(),
            admin: Admin::default(),
            faults: Faults::default(),
            coverage: Coverage::default(),
            trace: Trace::new(prints),
            violation: None,
            numbers: 0,
            plan,
        };
        world.trace.tell(Duration::ZERO, || format!("{:?}", world.plan));
        world.found();
        world
    }

    /// The founding voters have the first entry of the metadata log, which names them.
    fn found(&mut self) {
        let voters = (0..self.plan.voters).map(|one| self.machines[one].disk.key(one)).collect();
        let first = Rc::new(RaftEntry { term: 0, leader: 0, payload: Payload::Voters(voters) });
        for broker in 0..self.plan.brokers {
            if broker < self.plan.voters {
                self.machines[broker].disk.raft.log.push(Rc::clone(&first));
            }
            let delay = self.dice.millis(1, 500);
            self.after(delay, Event::Start(broker));
        }
        self.after(Duration::from_millis(500), Event::Admin);
    }

    fn play(&mut self) {
        while !self.admin.employed && self.violation.is_none() && self.clock < Duration::from_secs(30) {
            self.run_until(self.clock + Duration::from_millis(200));
        }
        if !self.admin.employed {
            return self.violated("liveness", || "the cluster was not set up within 30 s".to_owned());
        }
        self.run_until(self.clock + self.plan.turmoil);
        self.end_trouble();
        self.admin.resting = true;
        self.recover_within(RECOVERY);
        self.reckon();
    }

    /// Lets the cluster come to rest, and the clients with it.
    fn recover_within(&mut self, most: Duration) {
        let end = self.clock + most;
        while self.violation.is_none() && self.clock < end {
            self.run_until(self.clock + Duration::from_millis(500));
            if self.clock + most > end + PATIENCE {
                self.rescue();
            }
            let whole = self.truth.all().iter().all(|tp| self.is_whole(*tp));
            self.clients.resting = whole;
            if whole && self.clients.are_done() && self.are_alike() {
                return;
            }
        }
        let broken: Vec<_> = self
            .truth
            .all()
            .into_iter()
            .filter(|tp| !self.is_whole(*tp))
            .map(|tp| (tp, self.truth.state(tp)))
            .collect();
        let story = format!("after {most:?}: {broken:?}, producers that wait: {:?}", self.clients.waiting());
        self.violated("liveness", || story);
    }

    /// B9: replicas that are caught up are the same.
    fn are_alike(&self) -> bool {
        self.truth.all().into_iter().all(|tp| {
            let Some((_, state)) = self.truth.state(tp) else { return false };
            let mut logs = state.brokers().map(|one| self.machines[one.0 as usize].disk.log(tp));
            let first = logs.next().flatten().map(|log| log.batches());
            first.is_some() && logs.all(|log| log.map(|log| log.batches()) == first)
        })
    }

    /// Compares what clients saw with what is there.
    fn reckon(&mut self) {
        for tp in self.truth.all() {
            let Some((_, state)) = self.truth.state(tp) else { continue };
            let Some(log) = self.machines.get(state.leader.0 as usize).and_then(|one| one.disk.log(tp)) else {
                continue;
            };
            if let Err((promise, story)) = self.clients.history.check(tp, log) {
                self.violated(promise, || story);
            }
        }
        let committed = self.truth.image.index();
        self.note("metadata", &[("index", committed.0 as i64), ("entries", self.metadata_end() as i64)]);
    }
}
