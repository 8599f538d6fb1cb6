//! The metadata log and the controller on it, as `broker/src/controller` drives them.

use std::rc::Rc;
use std::time::Duration;

use ottla_core::controller::sessions::{Effect as SessionEffect, Event as SessionEvent, Probed, SessionId, Sessions};
use ottla_core::controller::{Command, Decision, FenceBroker, FoundCluster, Operation, Response, Settings, decide};
use ottla_core::metadata::{Entry, Image};
use ottla_core::{BrokerEpoch, BrokerId, LogIndex};

use crate::machine::{InFlight, Pending, Purpose};
use crate::message::{AskError, Message, Timer};
use crate::network::Node;
use crate::raft::{Payload, RaftMessage};
use crate::world::World;

/// `broker.session.timeout.ms`.
const SESSION_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a leader of the metadata log says that it is there.
const RAFT_BEAT: Duration = Duration::from_millis(50);
/// How long a leader may go without the answer of a majority before it is none to its own broker.
const ISOLATION: Duration = Duration::from_secs(2);
/// Entries sent at once.
const ENTRIES: usize = 32;
/// Entries after which a snapshot is made, and sent instead of what it covers.
const SNAPSHOT_EVERY: usize = 40;

impl World {
    pub(crate) fn raft_tick(&mut self, broker: usize) {
        let clock = self.clock;
        let patience = self.dice.millis(150, 400);
        let Some(process) = self.process(broker) else { return };
        if process.raft.leads() {
            self.give_up(broker);
            self.replicate(broker);
        } else if clock.saturating_sub(process.raft.heard) > patience {
            self.stand_for_election(broker);
        }
        self.set_timer(broker, RAFT_BEAT, Timer::Raft);
    }

    /// Elects `broker` if a majority of the voters can hear it, and has nothing that it has not.
    fn stand_for_election(&mut self, broker: usize) {
        let machine = &self.machines[broker];
        let (own, voters) = (machine.disk.raft.freshness(), machine.disk.raft.voters().to_vec());
        if !voters.contains(&machine.disk.key(broker)) {
            return;
        }
        let votes = |key: &&crate::raft::NodeKey| {
            let other = &self.machines[key.broker];
            let reachable = key.broker == broker
                || (other.is_awake() && self.network.connects(Node::Broker(broker), Node::Broker(key.broker)));
            reachable && other.disk.key(key.broker) == **key && other.disk.raft.freshness() <= own
        };
        let granted: Vec<_> = voters.iter().filter(votes).copied().collect();
        if granted.len() <= voters.len() / 2 {
            return;
        }
        let term = granted.iter().map(|key| self.machines[key.broker].disk.raft.term).max().unwrap_or(0) + 1;
        for key in granted {
            let machine = &mut self.machines[key.broker];
            if let Some(process) = &mut machine.process {
                process.raft.follow(&mut machine.disk.raft, term, self.clock);
            }
        }
        let machine = &mut self.machines[broker];
        if let Some(process) = &mut machine.process {
            process.raft.lead(&mut machine.disk.raft, term, self.clock);
        }
        self.coverage.count("controller elections");
        self.note("controller elected", &[("broker", broker as i64), ("term", term as i64)]);
        self.metadata_leader_elected(broker, term);
        self.replicate(broker);
        self.apply_committed(broker);
    }

    /// Sends every other node what it lacks.
    pub(crate) fn replicate(&mut self, broker: usize) {
        for other in 0..self.machines.len() {
            if other != broker {
                self.replicate_to(broker, other);
            }
        }
    }

    fn replicate_to(&mut self, broker: usize, other: usize) {
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let Some(message) = process.raft.append_for(&machine.disk.raft, other, ENTRIES) else { return };
        self.send(Node::Broker(broker), Node::Broker(other), Message::Raft(message));
    }

    pub(crate) fn raft_received(&mut self, broker: usize, from: usize, message: RaftMessage) {
        let clock = self.clock;
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let led = process.raft.leads();
        let (answer, more) = process.raft.take(&mut machine.disk.raft, from, message, clock);
        let deposed = led && !process.raft.leads();
        if let Some(answer) = answer {
            self.send(Node::Broker(broker), Node::Broker(from), Message::Raft(answer));
        }
        if more {
            self.replicate_to(broker, from);
        }
        if deposed {
            self.coverage.count("controllers deposed");
            self.stop_deciding(broker);
        }
        self.apply_committed(broker);
    }

    /// Applies what has been committed, tells who waits for it, and has it published.
    fn apply_committed(&mut self, broker: usize) {
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let (first, upto) = (process.applied, process.raft.committed());
        if first >= upto {
            return;
        }
        process.applied = upto;
        for index in first..upto {
            let machine = &self.machines[broker];
            let entry = Rc::clone(&machine.disk.raft.log[index]);
            self.metadata_committed(index, &entry);
            let Some(process) = self.process(broker) else { return };
            let counts = pass(&mut process.committed, index, &entry.payload, entry.leader);
            if process.driver.in_flight.as_ref().is_some_and(|out| out.index == index) {
                let out = process.driver.in_flight.take().expect("it was there");
                let own = out.term == entry.term;
                self.resolve(broker, out, own, counts);
            }
        }
        self.published_later(broker, upto);
        self.tell_sessions(broker, |image| SessionEvent::Image(image));
        self.pump(broker);
    }

    fn published_later(&mut self, broker: usize, upto: usize) {
        let late = self.dice.one_in(40);
        let delay = if late { self.dice.millis(20, 1_500) } else { self.dice.micros(50, 2_000) };
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let image = std::sync::Arc::new(process.committed.clone());
        if upto >= machine.disk.snapshot.0 + SNAPSHOT_EVERY {
            let records = image.to_records();
            let rebuilt = Image::from_records(image.index(), image.controller(), &records);
            let same = rebuilt.as_ref() == Ok(&*image);
            machine.disk.snapshot = (upto, process.committed.clone());
            if !same {
                self.violated("B7", || format!("the snapshot as of {upto} is another image than the log's"));
            }
        }
        self.set_timer(broker, delay, Timer::Publish(image));
    }

    /// Takes a command, here where it was sent: whether this is the controller will turn out.
    pub(crate) fn asked(&mut self, broker: usize, from: usize, id: u64, command: Command) {
        let Some(process) = self.process(broker) else { return };
        if process.raft.leads() {
            process.driver.waiting.push_back(Pending { from, id, command });
            self.pump(broker);
        } else {
            self.answer(broker, from, id, Err(AskError::Unknown));
        }
    }

    fn answer(&mut self, broker: usize, to: usize, id: u64, result: Result<(LogIndex, Box<Response>), AskError>) {
        self.send(Node::Broker(broker), Node::Broker(to), Message::Answer { id, result });
    }

    /// Decides what waits, if this is the controller and no entry is out.
    fn pump(&mut self, broker: usize) {
        let now = self.machines[broker].now(self.clock);
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let reigns = |image: &Image, first: usize| {
            image.controller().is_some_and(|one| one.broker.0 as usize == broker && one.epoch.0 == first as u64)
        };
        let Some(first) = process.raft.reign().filter(|first| reigns(&process.committed, *first)) else { return };
        if process.driver.sessions.as_ref().is_none_or(|(reign, _)| *reign != first) {
            self.begin_sessions(broker, first);
            return self.pump(broker);
        }
        if process.driver.in_flight.is_some() || process.driver.waiting.is_empty() {
            return;
        }
        let (mut image, settings) = (process.committed.clone(), Settings::default());
        let decided_on = image.index();
        let controller_epoch = image.controller().expect("it reigns").epoch;
        let (mut records, mut decided) = (Vec::new(), Vec::new());
        for pending in process.driver.waiting.drain(..) {
            let result = match decide(&image, &settings, now, pending.command.clone()) {
                Ok(Decision { records: new, response }) => {
                    for record in &new {
                        image.apply(record).expect("a decision is made of records that fit its image");
                    }
                    records.extend(new);
                    Ok(response)
                }
                Err(error) => Err(AskError::Refused(error.to_string())),
            };
            decided.push((pending, result));
        }
        if records.is_empty() {
            return self.answer_all(broker, decided, decided_on);
        }
        let entry = Entry { controller_epoch, decided_on, records };
        let entry = Some((entry, Rc::new(process.committed.clone())));
        process.driver.in_flight = Some(InFlight { entry, index: usize::MAX, term: 0, since: self.clock, decided });
        let delay = if self.dice.one_in(50) { self.dice.millis(20, 1_500) } else { self.dice.micros(5, 100) };
        self.set_timer(broker, delay, Timer::HandOver);
    }

    /// The decided entry reaches the log, which may have another leader by now, or this one anew.
    pub(crate) fn hand_over(&mut self, broker: usize) {
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let Some(out) = &mut process.driver.in_flight else { return };
        let Some((entry, decided_on)) = out.entry.take() else { return };
        if process.raft.leads() {
            out.index = process.raft.propose(&mut machine.disk.raft, Payload::Decided(entry, decided_on));
            out.term = machine.disk.raft.term;
            self.replicate(broker);
            return self.apply_committed(broker);
        }
        let decided = process.driver.in_flight.take().map(|out| out.decided);
        for (pending, _) in decided.into_iter().flatten() {
            self.answer(broker, pending.from, pending.id, Err(AskError::Unknown));
        }
    }

    /// A leader that nobody answers decides no more until somebody does. What it has proposed may be committed yet, before
    /// what is decided in its place.
    fn give_up(&mut self, broker: usize) {
        let clock = self.clock;
        let Some(process) = self.process(broker) else { return };
        let is_late = |out: &mut InFlight| out.entry.is_none() && clock.saturating_sub(out.since) > ISOLATION;
        let Some(out) = process.driver.in_flight.take_if(is_late) else { return };
        process.driver.sessions = None;
        self.coverage.count("entries given up");
        for (pending, _) in out.decided {
            self.answer(broker, pending.from, pending.id, Err(AskError::Unknown));
        }
    }

    fn begin_sessions(&mut self, broker: usize, first: usize) {
        let now = self.machines[broker].now(self.clock).monotonic;
        let me = BrokerId(broker as i32);
        let founding = self.process(broker).is_some_and(|process| process.committed.cluster_id().is_empty());
        let Some(process) = self.process(broker) else { return };
        let sessions = Sessions::new(me, process.incarnation, SESSION_TIMEOUT, now);
        process.driver.sessions = Some((first, sessions));
        if founding {
            let command = FoundCluster { cluster_id: "simulated".to_owned() }.into_command();
            process.driver.waiting.push_back(Pending { from: broker, id: 0, command });
        }
        self.tell_sessions(broker, |image| SessionEvent::Image(image));
        self.set_timer(broker, Duration::from_millis(10), Timer::Controller);
    }

    fn resolve(&mut self, broker: usize, out: InFlight, own: bool, counts: bool) {
        match (own, counts) {
            (true, true) => {
                self.answer_all(broker, out.decided, LogIndex(out.index as u64));
            }
            (true, false) => {
                self.coverage.count("entries skipped");
                let Some(process) = self.process(broker) else { return };
                for (pending, _) in out.decided.into_iter().rev() {
                    process.driver.waiting.push_front(pending);
                }
            }
            (false, _) => {
                self.coverage.count("entries lost");
                for (pending, _) in out.decided {
                    self.answer(broker, pending.from, pending.id, Err(AskError::Unknown));
                }
            }
        }
    }

    fn answer_all(&mut self, broker: usize, decided: Vec<(Pending, Result<Response, AskError>)>, index: LogIndex) {
        for (pending, result) in decided {
            let result = result.map(|response| (index, Box::new(response)));
            self.answer(broker, pending.from, pending.id, result);
        }
    }

    fn stop_deciding(&mut self, broker: usize) {
        let Some(process) = self.process(broker) else { return };
        let waiting: Vec<_> = process.driver.waiting.drain(..).collect();
        process.driver.sessions = None;
        for pending in waiting {
            self.answer(broker, pending.from, pending.id, Err(AskError::Unknown));
        }
    }

    pub(crate) fn controller_tick(&mut self, broker: usize) {
        let Some(process) = self.process(broker) else { return };
        if process.driver.sessions.is_none() {
            return;
        }
        self.tell_sessions(broker, |_| SessionEvent::Tick);
        self.pump(broker);
        self.set_timer(broker, Duration::from_millis(100), Timer::Controller);
    }

    /// Tells the sessions of an event, and does what they ask for.
    fn tell_sessions(&mut self, broker: usize, event: impl for<'i> FnOnce(&'i Image) -> SessionEvent<'i>) {
        let now = self.machines[broker].now(self.clock).monotonic;
        let Some(process) = self.machines[broker].process.as_mut() else { return };
        let Some((_, sessions)) = &mut process.driver.sessions else { return };
        let effects = sessions.handle(now, event(&process.committed));
        for effect in effects {
            match effect {
                SessionEffect::Probe { broker: other, epoch } => {
                    let delay = self.dice.micros(200, 5_000);
                    let timer = Timer::Probe { broker: other.0 as usize, epoch };
                    self.set_timer(broker, delay, timer);
                }
                SessionEffect::Fence { broker: other, epoch, .. } => {
                    self.note("fence", &[("broker", i64::from(other.0)), ("by", broker as i64)]);
                    self.coverage.count("brokers fenced");
                    let command = FenceBroker { broker: other, epoch }.into_command();
                    let Some(process) = self.process(broker) else { return };
                    process.driver.waiting.push_back(Pending { from: broker, id: 0, command });
                }
            }
        }
    }

    pub(crate) fn session_heard(&mut self, broker: usize, from: usize, session: SessionId, epoch: BrokerEpoch) {
        let Some(process) = self.process(broker) else { return };
        if !process.driver.closed.contains(&session) {
            let heard = SessionEvent::Heard { session, broker: BrokerId(from as i32), epoch };
            self.tell_sessions(broker, |_| heard);
        }
    }

    pub(crate) fn session_closed(&mut self, broker: usize, session: SessionId) {
        let Some(process) = self.process(broker) else { return };
        process.driver.closed.insert(session);
        self.tell_sessions(broker, |_| SessionEvent::Closed(session));
        self.pump(broker);
    }

    /// Dials a broker and tells the sessions what came of it.
    pub(crate) fn probe(&mut self, broker: usize, other: usize, epoch: BrokerEpoch) {
        let reachable = self.network.connects(Node::Broker(broker), Node::Broker(other));
        let machine = &self.machines[other];
        let result = match (reachable && machine.is_powered, machine.process.is_some()) {
            (false, _) => Probed::Silent,
            (true, true) => Probed::Connected,
            (true, false) => Probed::Refused,
        };
        if result == Probed::Refused {
            self.coverage.count("probes refused");
        }
        self.tell_sessions(broker, |_| SessionEvent::Probed { broker: BrokerId(other as i32), epoch, result });
        self.pump(broker);
    }

    /// Puts a question to whom this broker takes for the controller.
    pub(crate) fn ask(&mut self, broker: usize, purpose: Purpose, operation: impl Operation) -> u64 {
        let id = self.number();
        let Some(process) = self.process(broker) else { return id };
        process.asks.insert(id, crate::machine::Ask { purpose, answer: None });
        let controller = process.raft.leader();
        self.set_timer(broker, Duration::from_millis(1_200), Timer::AskLost(id));
        if let Some(controller) = controller {
            let command = Box::new(operation.into_command());
            self.send(Node::Broker(broker), Node::Broker(controller), Message::Ask { id, command });
        }
        id
    }
}

/// Passes entry `index`; whether its records counted.
pub(crate) fn pass(image: &mut Image, index: usize, payload: &Payload, leader: usize) -> bool {
    let index = LogIndex(index as u64);
    match payload {
        Payload::Blank => {
            image.begin_reign(index, BrokerId(leader as i32));
            true
        }
        Payload::Voters(_) => {
            image.advance(index);
            true
        }
        Payload::Decided(entry, _) => {
            image.apply_entry(index, entry).expect("a controller decides only what fits the image it decided on")
        }
    }
}
