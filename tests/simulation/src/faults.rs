//! What goes wrong: the faults of the matrix in the reliability contract that a model of this level can have.

use std::time::Duration;

use ottla_core::BrokerId;

use crate::message::{Event, Tp};
use crate::network::Node;
use crate::world::World;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process dies; the kernel lives.
    Crash,
    /// Every process dies at once.
    CrashAll,
    /// A machine loses power.
    PowerLoss,
    /// Some machines lose power at once.
    PowerLossOfSome,
    /// All machines lose power at once.
    PowerLossOfAll,
    /// A process is stopped for a while.
    Pause,
    /// The network falls apart into two halves.
    Split,
    /// Nothing arrives any more in one direction.
    OneWay,
    /// Clients cannot reach a broker.
    ClientsCut,
    /// Messages are lost, doubled, late.
    Weather,
    /// A disk is slow.
    SlowDisk,
    /// A disk refuses to flush.
    Refusal,
    /// A wall clock jumps.
    ClockJump,
    /// The disk of a broker, or the first of several, is replaced by an empty one.
    DiskReplaced,
    /// Another log directory's disk is.
    DirectoryReplaced,
    /// There is no space left on the disks of a broker.
    FullDisk,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Crash,
        Self::CrashAll,
        Self::PowerLoss,
        Self::PowerLossOfSome,
        Self::PowerLossOfAll,
        Self::Pause,
        Self::Split,
        Self::OneWay,
        Self::ClientsCut,
        Self::Weather,
        Self::SlowDisk,
        Self::Refusal,
        Self::ClockJump,
        Self::DiskReplaced,
        Self::DirectoryReplaced,
        Self::FullDisk,
    ];

    /// Under which name it is counted when it takes effect.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crashes",
            Self::CrashAll => "crashes of all",
            Self::PowerLoss => "power losses of one",
            Self::PowerLossOfSome => "power losses of some",
            Self::PowerLossOfAll => "power losses of all",
            Self::Pause => "pauses",
            Self::Split => "network splits",
            Self::OneWay => "one-way cuts",
            Self::ClientsCut => "clients cut from a broker",
            Self::Weather => "bad weather",
            Self::SlowDisk => "slow disks",
            Self::Refusal => "flushes refused",
            Self::ClockJump => "clock jumps",
            Self::DiskReplaced => "disks replaced",
            Self::DirectoryReplaced => "further directories replaced",
            Self::FullDisk => "full disks",
        }
    }
}

/// The state of trouble.
#[derive(Debug, Default)]
pub struct Faults {
    /// No more of them.
    pub over: bool,
}

impl World {
    /// The next fault strikes.
    pub(crate) fn strike(&mut self) {
        if self.faults.over {
            return;
        }
        let pause = self.dice.millis(10, self.plan.respite);
        self.after(pause, Event::Fault);
        let Some(fault) = self.dice.pick(&self.plan.faults).copied() else { return };
        let broker = self.dice.index(self.machines.len());
        if self.inflict(fault, broker) {
            self.coverage.count(fault.name());
        }
    }

    /// Whether it took effect.
    fn inflict(&mut self, fault: Fault, broker: usize) -> bool {
        match fault {
            Fault::Crash => self.crash(broker),
            Fault::CrashAll => (0..self.machines.len()).filter(|one| self.crash(*one)).count() > 1,
            Fault::PowerLoss => self.lose_power(broker),
            Fault::PowerLossOfSome => self.lose_power_of_some(broker),
            Fault::PowerLossOfAll => (0..self.machines.len()).filter(|one| self.lose_power(*one)).count() > 1,
            Fault::Pause => self.pause(broker),
            Fault::Split | Fault::OneWay => self.split(fault == Fault::Split),
            Fault::ClientsCut => {
                self.network.cut(Node::Clients, Node::Broker(broker));
                self.network.cut(Node::Broker(broker), Node::Clients);
                self.join_later();
                true
            }
            Fault::Weather => {
                let (loss, doubles, late) = (self.dice.roll(200), self.dice.roll(100), self.dice.roll(200));
                self.network.weather(loss, doubles, late);
                true
            }
            Fault::SlowDisk => {
                let (slowness, until) = (self.dice.millis(50, 3_000), self.clock + self.dice.millis(500, 5_000));
                self.machines[broker].slow_disk = Some((slowness, until));
                true
            }
            Fault::Refusal => {
                let place = self.dice.index(self.plan.directories);
                self.machines[broker].refuses_flush = Some(place);
                false // counted when a flush meets it
            }
            Fault::ClockJump => {
                self.machines[broker].wall_error = self.dice.between(0, 7_200_000) as i64 - 3_600_000;
                true
            }
            Fault::DiskReplaced => self.replace_disk(broker, 0),
            Fault::DirectoryReplaced => self.plan.directories > 1 && self.replace_disk(broker, 1),
            Fault::FullDisk => {
                self.machines[broker].full_until = Some(self.clock + self.dice.millis(500, 8_000));
                true
            }
        }
    }

    fn crash(&mut self, broker: usize) -> bool {
        if self.machines[broker].process.is_none() {
            return false;
        }
        self.note("crashed", &[("broker", broker as i64)]);
        self.process_gone(broker);
        let delay = self.dice.millis(20, 4_000);
        self.after(delay, Event::Start(broker));
        true
    }

    fn lose_power(&mut self, broker: usize) -> bool {
        let machine = &mut self.machines[broker];
        if !machine.is_powered {
            return false;
        }
        self.note("lost power", &[("broker", broker as i64)]);
        let machine = &mut self.machines[broker];
        machine.is_powered = false;
        machine.boot += 1;
        machine.process = None;
        machine.paused_until = None;
        let loss = machine.disk.lose_unflushed(&mut self.dice);
        self.count_loss(loss);
        self.data_lost(broker, None);
        let delay = self.dice.millis(100, 6_000);
        self.after(delay, Event::Start(broker));
        true
    }

    fn lose_power_of_some(&mut self, first: usize) -> bool {
        let mut order: Vec<usize> = (0..self.machines.len()).filter(|one| *one != first).collect();
        self.dice.shuffle(&mut order);
        let others = 1 + self.dice.index(order.len());
        let struck = [first].into_iter().chain(order.into_iter().take(others));
        struck.filter(|one| self.lose_power(*one)).count() > 1
    }

    fn pause(&mut self, broker: usize) -> bool {
        let until = self.clock + self.dice.millis(100, 8_000);
        let machine = &mut self.machines[broker];
        if !machine.is_awake() {
            return false;
        }
        machine.paused_until = Some(until);
        self.note("paused", &[("broker", broker as i64)]);
        self.queue.schedule(until, Event::Resume(broker));
        true
    }

    fn split(&mut self, both_ways: bool) -> bool {
        let sides: Vec<bool> = self.machines.iter().map(|_| self.dice.one_in(2)).collect();
        let clients = self.dice.one_in(2);
        let nodes: Vec<(Node, bool)> =
            (0..sides.len()).map(|one| (Node::Broker(one), sides[one])).chain([(Node::Clients, clients)]).collect();
        for (one, here) in &nodes {
            for (other, there) in &nodes {
                if *here && !there {
                    self.network.cut(*one, *other);
                    if both_ways {
                        self.network.cut(*other, *one);
                    }
                }
            }
        }
        self.note("network cut", &[("both ways", i64::from(both_ways))]);
        self.join_later();
        sides.iter().any(|side| *side != sides[0])
    }

    fn join_later(&mut self) {
        let delay = self.dice.millis(200, 9_000);
        self.after(delay, Event::Join);
    }

    /// An empty disk takes the place of a directory's, unless that would take the last copy of something, or the metadata.
    fn replace_disk(&mut self, broker: usize, place: usize) -> bool {
        if place == 0 && !self.metadata_survives_without(broker) {
            return false;
        }
        let survives = |tp: &Tp| {
            let (Some((_, state)), Some(known)) = (self.truth.state(*tp), self.truth.partitions.get(tp)) else {
                return true;
            };
            let whole = |one: &BrokerId| {
                let log = self.machines[one.0 as usize].disk.log(*tp);
                one.0 as usize != broker && log.is_some_and(|log| known.is_held_by(log))
            };
            state.isr.iter().chain(&state.elr).any(whole)
        };
        let there = |tp: &Tp| self.machines[broker].disk.place_of(*tp).is_none_or(|one| one == place);
        if !self.truth.all().iter().filter(|tp| there(tp)).all(survives) {
            return false;
        }
        self.note("disk replaced", &[("broker", broker as i64), ("directory", place as i64)]);
        let machine = &mut self.machines[broker];
        machine.process = None;
        machine.paused_until = None;
        machine.is_powered = false;
        machine.boot += 1;
        let loss = machine.disk.lose_unflushed(&mut self.dice);
        machine.disk.replace(place);
        self.count_loss(loss);
        self.data_lost(broker, None);
        let delay = self.dice.millis(500, 5_000);
        self.after(delay, Event::Start(broker));
        true
    }

    /// All trouble ends: everybody is started, goes on, and can be reached.
    pub(crate) fn end_trouble(&mut self) {
        self.faults.over = true;
        self.network.heal();
        for broker in 0..self.machines.len() {
            let machine = &mut self.machines[broker];
            (machine.slow_disk, machine.refuses_flush, machine.full_until) = (None, None, None);
            if machine.paused_until.is_some() {
                machine.paused_until = Some(self.clock);
                self.resume(broker);
            }
            // What is in a failed directory comes back with the next process.
            if self.machines[broker].process.as_ref().is_some_and(|process| !process.offline.is_empty()) {
                self.process_gone(broker);
            }
            if self.machines[broker].process.is_none() {
                self.after(Duration::from_millis(10), Event::Start(broker));
            }
        }
        self.note("trouble ends", &[]);
    }
}
