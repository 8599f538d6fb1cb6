//! A broker's life: it starts, registers, says that it lives, stops, dies.

use std::time::Duration;

use ottla_core::BrokerId;
use ottla_core::controller::sessions::SessionId;
use ottla_core::controller::{BrokerHeartbeat, OTTLA_VERSION, RegisterBroker, Response, Wish, supported_features};

use crate::machine::Purpose;
use crate::message::{AskError, Message, Timer};
use crate::network::Node;
use crate::world::World;

/// How often a broker says that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// How soon it asks again for what it has not got yet.
const AGAIN: Duration = Duration::from_millis(50);

impl World {
    /// A process starts on the machine of `broker`.
    pub(crate) fn start(&mut self, broker: usize) {
        if self.machines[broker].process.is_some() {
            return;
        }
        // What is not trusted counts as lost: "an uncleanly stopped broker is never elected before it has caught up".
        if self.machines[broker].has_losses_to_report() {
            self.data_lost(broker, None);
        }
        let (incarnation, clock) = (self.identity(), self.clock);
        let machine = &mut self.machines[broker];
        machine.is_powered = true;
        machine.start(clock, incarnation);
        self.note("started", &[("broker", broker as i64)]);
        self.recovered(broker);
        for (timer, most) in [(Timer::Raft, 100), (Timer::Life, 30), (Timer::Housekeeping, 1_000), (Timer::Lag, 500)] {
            let delay = self.dice.millis(1, most);
            self.set_timer(broker, delay, timer);
        }
    }

    /// A process that was stopped goes on.
    pub(crate) fn resume(&mut self, broker: usize) {
        let machine = &mut self.machines[broker];
        if machine.paused_until.is_some_and(|until| until <= self.clock) {
            machine.paused_until = None;
            self.note("resumed", &[("broker", broker as i64)]);
        }
    }

    /// Registers, asks to be unfenced, says that it lives, hands over: whatever is next.
    pub(crate) fn live(&mut self, broker: usize) {
        let Some(process) = self.process(broker) else { return };
        let asks = process.asks.values().any(|ask| matches!(ask.purpose, Purpose::Register | Purpose::Heartbeat));
        let (epoch, stopping) = (process.epoch, process.stopping);
        let registered = process.published.broker(BrokerId(broker as i32)).filter(|known| Some(known.epoch) == epoch);
        let fenced = registered.is_some_and(|registered| registered.fenced);
        let applied = process.published.index();
        let mut again = AGAIN;
        match epoch {
            None if !asks => self.register(broker),
            Some(epoch) if !asks && (fenced || stopping) => {
                let wish = if stopping { Wish::Stop } else { Wish::Serve };
                let heartbeat = BrokerHeartbeat { broker: BrokerId(broker as i32), epoch, applied, wish };
                self.ask(broker, Purpose::Heartbeat, heartbeat);
            }
            _ => {}
        }
        if epoch.is_some() {
            self.tell_of_directories(broker);
            self.keep_session(broker);
            if !fenced && !stopping {
                again = BEAT;
            }
        }
        self.set_timer(broker, again, Timer::Life);
    }

    fn register(&mut self, broker: usize) {
        let disk = &self.machines[broker].disk;
        let directories = (0..disk.directories().len()).map(|place| disk.identity(broker, place)).collect();
        let Some(process) = self.process(broker) else { return };
        let features = supported_features().map(|(name, range)| (name.to_owned(), range)).collect();
        debug_assert!(std::collections::BTreeMap::contains_key(&features, OTTLA_VERSION));
        let registration = RegisterBroker {
            broker: BrokerId(broker as i32),
            cluster_id: "simulated".to_owned(),
            incarnation: process.incarnation,
            endpoints: Vec::new(),
            rack: Some(format!("rack-{}", broker % 3)),
            directories,
            features,
            previous: process.previous.clone(),
        };
        self.ask(broker, Purpose::Register, registration);
    }

    /// Opens a session with whom it takes for the controller, or says there that it lives.
    fn keep_session(&mut self, broker: usize) {
        let Some(process) = self.process(broker) else { return };
        let (Some(epoch), Some(controller)) = (process.epoch, process.raft.leader()) else { return };
        let present = process.session;
        let Some(other) = self.machines[controller].process.as_ref().map(|process| process.number) else { return };
        let session = match present {
            Some((with, number, session)) if with == controller && number == other => session,
            _ => {
                self.close_session(broker);
                let session = SessionId(self.number());
                if let Some(process) = self.process(broker) {
                    process.session = Some((controller, other, session));
                }
                session
            }
        };
        let (from, to) = (Node::Broker(broker), Node::Broker(controller));
        self.send(from, to, Message::SessionHeard { session, epoch });
    }

    /// The connection of the session breaks: the kernel says so to the controller.
    fn close_session(&mut self, broker: usize) {
        let Some((controller, _, session)) = self.process(broker).and_then(|process| process.session.take()) else {
            return;
        };
        self.send(Node::Broker(broker), Node::Broker(controller), Message::SessionClosed(session));
    }

    /// An answer of the controller arrives.
    pub(crate) fn answered(
        &mut self,
        broker: usize,
        id: u64,
        result: Result<(ottla_core::LogIndex, Box<Response>), AskError>,
    ) {
        let Some(process) = self.process(broker) else { return };
        let Some(ask) = process.asks.get_mut(&id) else { return };
        match result {
            Ok(answer) if answer.0 > process.published.index() => ask.answer = Some(answer),
            Ok((_, response)) => self.settle(broker, id, Ok(*response)),
            Err(error) => self.settle(broker, id, Err(error)),
        }
    }

    /// Settles every question whose answer this broker's own image has by now.
    pub(crate) fn settle_published(&mut self, broker: usize) {
        let Some(process) = self.process(broker) else { return };
        let index = process.published.index();
        let due = |ask: &crate::machine::Ask| ask.answer.as_ref().is_some_and(|(at, _)| *at <= index);
        let due: Vec<u64> = process.asks.iter().filter(|(_, ask)| due(ask)).map(|(id, _)| *id).collect();
        for id in due {
            let Some(process) = self.process(broker) else { return };
            let Some((_, response)) = process.asks.get_mut(&id).and_then(|ask| ask.answer.take()) else { continue };
            self.settle(broker, id, Ok(*response));
        }
    }

    pub(crate) fn ask_lost(&mut self, broker: usize, id: u64) {
        let Some(process) = self.process(broker) else { return };
        if process.asks.get(&id).is_some_and(|ask| ask.answer.is_none()) {
            self.settle(broker, id, Err(AskError::Unknown));
        }
    }

    fn settle(&mut self, broker: usize, id: u64, result: Result<Response, AskError>) {
        let Some(process) = self.process(broker) else { return };
        let Some(ask) = process.asks.remove(&id) else { return };
        match ask.purpose {
            Purpose::Register => match result {
                Ok(Response::RegisterBroker(epoch)) => {
                    process.epoch = Some(epoch);
                    self.machines[broker].stop_reported();
                    self.note("registered", &[("broker", broker as i64), ("epoch", epoch.0)]);
                    self.set_timer(broker, Duration::from_millis(1), Timer::Life);
                }
                other => self.trace.tell(self.clock, || format!("broker {broker} cannot register: {other:?}")),
            },
            Purpose::Heartbeat => {
                if let Ok(Response::BrokerHeartbeat(status)) = result
                    && status.may_stop
                    && process.stopping
                {
                    self.stop_cleanly(broker);
                }
            }
            Purpose::Isr(tp, proposal) => self.isr_answered(broker, tp, proposal, result),
            Purpose::Failed(count) => process.told_offline = if result.is_ok() { count } else { process.told_offline },
            Purpose::Placed(told) => {
                process.misplaced.retain(|tp, directory| result.is_err() || told.get(tp) != Some(directory));
            }
            Purpose::Other => {
                self.trace.tell(self.clock, || format!("broker {broker} is answered: {result:?}"));
            }
        }
    }

    /// A late registration of an earlier process has taken this one's place: it ends, and the next one registers anew.
    pub(crate) fn superseded(&mut self, broker: usize) {
        self.coverage.count("processes superseded");
        self.note("superseded", &[("broker", broker as i64)]);
        self.process_gone(broker);
        let delay = self.dice.millis(50, 1_000);
        self.after(delay, crate::message::Event::Start(broker));
    }

    fn stop_cleanly(&mut self, broker: usize) {
        self.coverage.count("clean stops");
        self.note("stopped cleanly", &[("broker", broker as i64)]);
        let machine = &mut self.machines[broker];
        let Some(process) = &machine.process else { return };
        for (tp, replica) in &process.replicas {
            machine.disk.remember_watermark(*tp, replica.high_watermark);
        }
        machine.disk.stop_cleanly(process.epoch, &process.offline);
        self.process_gone(broker);
        let delay = self.dice.millis(50, 3_000);
        self.after(delay, crate::message::Event::Start(broker));
    }

    /// The process dies; the kernel lives on, keeps what it was given, and says to others that it is gone.
    pub(crate) fn process_gone(&mut self, broker: usize) {
        self.close_session(broker);
        // Brokers that had a session with it see the connection break when they next say something: `keep_session`.
        let machine = &mut self.machines[broker];
        machine.process = None;
        machine.paused_until = None;
    }
}
