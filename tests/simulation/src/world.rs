//! The simulated world: brokers, network, clients and faults, and the loop that lets one event happen after another.
//!
//! What happens to whom is told in the other files of this folder, each an `impl World`.

use std::time::Duration;

use uuid::Uuid;

use crate::admin::Admin;
use crate::clients::Clients;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::faults::Faults;
use crate::machine::{Machine, Process};
use crate::message::{Event, Message, Timer};
use crate::network::{Network, Node};
use crate::plan::Plan;
use crate::queue::Queue;
use crate::trace::Trace;
use crate::truth::Truth;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one: an invariant of the reliability contract.
    pub promise: &'static str,
    /// How, and where.
    pub story: String,
    /// When.
    pub at: Duration,
}

/// The world.
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    pub(crate) clock: Duration,
    pub(crate) queue: Queue<Event>,
    pub(crate) network: Network,
    pub(crate) machines: Vec<Machine>,
    pub(crate) truth: Truth,
    pub(crate) clients: Clients,
    pub(crate) admin: Admin,
    pub(crate) faults: Faults,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    pub(crate) violation: Option<Violation>,
    pub(crate) numbers: u64,
}

impl World {
    /// A number that nothing else has.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// An identity that nothing else has.
    pub(crate) fn identity(&mut self) -> Uuid {
        Uuid::from_u128(u128::from(self.number()))
    }

    /// Has `event` happen after `delay`.
    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.queue.schedule(self.clock + delay, event);
    }

    /// Sets a timer of the present process of `broker`.
    pub(crate) fn set_timer(&mut self, broker: usize, delay: Duration, timer: Timer) {
        let Some(process) = self.machines[broker].process.as_ref().map(|process| process.number) else { return };
        self.after(delay, Event::Timer { broker, process, timer });
    }

    /// Sends a message, if there is a process to receive it.
    pub(crate) fn send(&mut self, from: Node, to: Node, message: Message) {
        let process = match to {
            Node::Broker(broker) => match &self.machines[broker].process {
                Some(process) => process.number,
                None => return,
            },
            Node::Clients => 0,
        };
        for at in self.network.arrivals(self.clock, from, to, &mut self.dice) {
            self.queue.schedule(at, Event::Deliver { from, to, process, message: message.clone() });
        }
    }

    /// The process of `broker`, if it runs.
    pub(crate) fn process(&mut self, broker: usize) -> Option<&mut Process> {
        self.machines[broker].process.as_mut()
    }

    /// Takes note that a promise was broken; the first one ends the run.
    pub(crate) fn violated(&mut self, promise: &'static str, story: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let violation = Violation { promise, story: story(), at: self.clock };
            self.trace.tell(self.clock, || format!("VIOLATION {promise}: {}", violation.story));
            self.violation = Some(violation);
        }
    }

    /// Takes note of what happened.
    pub(crate) fn note(&mut self, what: &'static str, particulars: &[(&'static str, i64)]) {
        self.trace.note(self.clock, what, particulars);
    }

    /// Lets everything happen that is due until `end`, or until a promise is broken.
    pub(crate) fn run_until(&mut self, end: Duration) {
        while self.violation.is_none() {
            let Some((at, event)) = self.queue.next() else { return };
            if at > end {
                self.queue.schedule(at, event);
                self.clock = end;
                return;
            }
            self.clock = at;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, process, message } => match to {
                Node::Clients => self.client_receives(message),
                Node::Broker(broker) if self.is_present(broker, process) => match self.machines[broker].paused_until {
                    Some(until) => self.queue.schedule(until, Event::Deliver { from, to, process, message }),
                    None => self.receive(broker, from, message),
                },
                Node::Broker(_) => {}
            },
            Event::Timer { broker, process, timer } if self.is_present(broker, process) => {
                match self.machines[broker].paused_until {
                    Some(until) => self.queue.schedule(until, Event::Timer { broker, process, timer }),
                    None => self.ring(broker, timer),
                }
            }
            Event::Timer { .. } => {}
            Event::Start(broker) => self.start(broker),
            Event::Resume(broker) => self.resume(broker),
            Event::Producer(producer) => self.produce(producer),
            Event::Consumer(consumer) => self.consume(consumer),
            Event::ClientLost(request) => self.client_lost(request),
            Event::Admin => self.administer(),
            Event::Fault => self.strike(),
            Event::Join => {
                self.network.join();
                self.note("network joined", &[]);
            }
        }
    }

    fn is_present(&self, broker: usize, process: u64) -> bool {
        self.machines[broker].process.as_ref().is_some_and(|present| present.number == process)
    }

    fn receive(&mut self, broker: usize, from: Node, message: Message) {
        match (from, message) {
            (Node::Broker(from), Message::Raft(message)) => self.raft_received(broker, from, message),
            (Node::Broker(from), Message::Ask { id, command }) => self.asked(broker, from, id, *command),
            (_, Message::Answer { id, result }) => self.answered(broker, id, result),
            (Node::Broker(from), Message::SessionHeard { session, epoch }) => {
                self.session_heard(broker, from, session, epoch);
            }
            (_, Message::SessionClosed(session)) => self.session_closed(broker, session),
            (Node::Broker(from), Message::Fetch { id, epoch, parts, named }) => {
                self.fetched_from(broker, from, (epoch, id), parts, &named);
            }
            (Node::Broker(from), Message::Fetched { id, parts }) => self.fetch_answered(broker, from, id, parts),
            (_, Message::Produce { id, tp, acks, batch }) => self.produced(broker, id, tp, acks, batch),
            (_, Message::Read { id, tp, offset }) => self.read(broker, id, tp, offset),
            (from, message) => unreachable!("{from:?} does not say {message:?} to a broker"),
        }
    }

    fn ring(&mut self, broker: usize, timer: Timer) {
        match timer {
            Timer::Raft => self.raft_tick(broker),
            Timer::Controller => self.controller_tick(broker),
            Timer::Probe { broker: other, epoch } => self.probe(broker, other, epoch),
            Timer::HandOver => self.hand_over(broker),
            Timer::Life => self.live(broker),
            Timer::Publish(image) => self.publish(broker, image),
            Timer::Fetch(leader) => self.fetch_due(broker, leader),
            Timer::FetchLost(leader, id) => self.fetch_lost(broker, leader, id),
            Timer::FetchParked(follower, id) => self.parked_long_enough(broker, follower, id),
            Timer::Flush => self.flush(broker),
            Timer::Flushed(flushes) => self.flushed(broker, flushes),
            Timer::Housekeeping => self.keep_house(broker),
            Timer::Lag => self.look_for_laggards(broker),
            Timer::AskLost(id) => self.ask_lost(broker, id),
            Timer::ProposeAgain(tp, epoch, proposal) => self.propose_again(broker, tp, epoch, proposal),
        }
    }
}
