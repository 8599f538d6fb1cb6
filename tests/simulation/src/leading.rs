//! The leader's side of a partition: appends, effects, proposals, the flusher. As `broker/src/replica` drives it.

use std::time::Duration;

use ottla_core::controller::{self, AlterPartition, IsrMember, Response};
use ottla_core::metadata::LeaderRecovery;
use ottla_core::partition::{Durability, Effect, FollowerEffect, IsrProposal, RequiredAcks};
use ottla_core::{BrokerId, LeaderEpoch, Offset};

use crate::log::{Appended, Batch, Flush, NewBatch};
use crate::machine::Purpose;
use crate::message::{AskError, Message, ProduceError, Timer, Tp};
use crate::network::Node;
use crate::replica::{Role, Waiting};
use crate::world::World;

/// `replica.lag.time.max.ms`; shorter than Kafka's, so that it matters within a run.
const MAX_LAG: Duration = Duration::from_secs(4);
/// Batches that one read returns at most.
pub(crate) const READ: usize = 8;

impl World {
    /// Performs what a leader asked for.
    pub(crate) fn perform(&mut self, broker: usize, tp: Tp, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::AdvanceHighWatermark { to } => self.watermark_moved(broker, tp, to),
                Effect::WakeFollowers { .. } => self.wake_fetches(broker, tp),
                Effect::Flush => self.want_flush(broker, tp),
                Effect::ProposeIsr(proposal) if self.dice.one_in(8) => {
                    // An earlier request is still out: one that is sent late speaks of uptimes that may be over.
                    let (epoch, delay) = (proposal.leader_epoch, self.dice.millis(20, 3_000));
                    self.set_timer(broker, delay, Timer::ProposeAgain(tp, epoch, proposal));
                }
                Effect::ProposeIsr(proposal) => self.propose(broker, tp, proposal),
                Effect::FailProduces => {
                    let Some(process) = self.process(broker) else { return };
                    let Some(replica) = process.replicas.get_mut(&tp) else { return };
                    for waiting in std::mem::take(&mut replica.waiting) {
                        self.produce_answer(broker, tp, waiting.request, Err(ProduceError::Retriable));
                    }
                }
            }
        }
    }

    fn watermark_moved(&mut self, broker: usize, tp: Tp, to: Offset) {
        let Some(process) = self.process(broker) else { return };
        let Some(replica) = process.replicas.get_mut(&tp) else { return };
        replica.high_watermark = to;
        let (done, waiting): (Vec<Waiting>, _) = replica.waiting.drain(..).partition(|one| one.batch.end() <= to);
        replica.waiting = waiting;
        self.note("watermark", &[("broker", broker as i64), ("partition", tp.number()), ("to", to.0)]);
        self.watermark_reached(broker, tp, to);
        for one in done {
            self.produce_answer(broker, tp, one.request, Ok(one.batch.base));
        }
        self.wake_fetches(broker, tp);
    }

    pub(crate) fn produce_answer(&mut self, broker: usize, tp: Tp, id: u64, result: Result<Offset, ProduceError>) {
        let process = self.machines[broker].process.as_ref();
        let replica = process.and_then(|process| process.replicas.get(&tp));
        let leads = replica.and_then(|one| one.leader()).map(|leader| leader.term().leader_epoch);
        self.send(Node::Broker(broker), Node::Clients, Message::Produced { id, result, leads });
    }

    /// A client's batch arrives.
    pub(crate) fn produced(&mut self, broker: usize, id: u64, tp: Tp, acks: RequiredAcks, batch: NewBatch) {
        let machine = &mut self.machines[broker];
        if machine.is_full(self.clock) {
            self.coverage.count("appends refused for want of space");
            return self.produce_answer(broker, tp, id, Err(ProduceError::Retriable));
        }
        let Some(process) = &mut machine.process else { return };
        let leads = process.replicas.get_mut(&tp).zip(machine.disk.log_mut(tp));
        let Some((replica, log)) = leads.filter(|(replica, _)| replica.leader().is_some()) else {
            return self.produce_answer(broker, tp, id, Err(ProduceError::Retriable));
        };
        let Role::Leader(leader) = &mut replica.role else { return };
        if leader.check_append(acks).is_err() {
            self.coverage.count("appends refused for want of replicas");
            return self.produce_answer(broker, tp, id, Err(ProduceError::Retriable));
        }
        let mut effects = Vec::new();
        let batch = match log.append(leader.term().leader_epoch, batch) {
            Appended::New(batch) => {
                leader.appended(log.end(), &mut effects);
                batch
            }
            Appended::Duplicate(batch) => {
                self.coverage.count("duplicates found");
                batch
            }
            Appended::OutOfOrder => return self.produce_answer(broker, tp, id, Err(ProduceError::OutOfOrder)),
        };
        let committed = leader.high_watermark() >= batch.end();
        if acks == RequiredAcks::All && !committed {
            replica.waiting.push(Waiting { request: id, batch });
        }
        self.note("append", &[("broker", broker as i64), ("partition", tp.number()), ("base", batch.base.0)]);
        self.perform(broker, tp, effects);
        if acks != RequiredAcks::All || committed {
            self.produce_answer(broker, tp, id, Ok(batch.base));
        }
    }

    /// A consumer reads below the watermark: from the leader, or from a follower that has the offset.
    pub(crate) fn read(&mut self, broker: usize, id: u64, tp: Tp, offset: Offset) {
        let machine = &self.machines[broker];
        let Some(process) = &machine.process else { return };
        let here = process.replicas.get(&tp).zip(machine.disk.log(tp));
        let result = here.and_then(|(replica, log)| {
            let watermark = replica.high_watermark;
            match (&replica.role, offset) {
                // The latest offset is the leader's to say, and only once it knows it.
                (Role::Leader(leader), Offset(-1)) => leader.is_established().then(|| (Vec::new(), watermark)),
                (Role::Follower(_), Offset(-1)) => None,
                _ if offset > log.end() => None,
                _ => Some((log.read(offset, watermark, READ).to_vec(), watermark)),
            }
        });
        let leads = here.and_then(|(replica, _)| replica.leader()).map(|leader| leader.term().leader_epoch);
        self.send(Node::Broker(broker), Node::Clients, Message::ReadDone { id, result, leads });
    }

    fn propose(&mut self, broker: usize, tp: Tp, proposal: IsrProposal) {
        let Some(process) = self.process(broker) else { return };
        let Some(epoch) = process.epoch else { return };
        let members = proposal.members.iter().map(|(broker, epoch)| IsrMember { broker: *broker, epoch: *epoch });
        let wanted = controller::IsrProposal {
            topic: tp.topic,
            partition: tp.partition,
            leader_epoch: proposal.leader_epoch,
            partition_epoch: proposal.partition_epoch,
            isr: members.collect(),
            recovery: LeaderRecovery::Recovered,
            flushed: proposal.flushed,
        };
        let me = BrokerId(broker as i32);
        let alter = AlterPartition { broker: me, broker_epoch: epoch, proposals: vec![wanted] };
        self.note(
            "propose ISR",
            &[("broker", broker as i64), ("partition", tp.number()), ("members", proposal.members.len() as i64)],
        );
        self.ask(broker, Purpose::Isr(tp, proposal), alter);
    }

    /// The controller answered a proposal.
    pub(crate) fn isr_answered(
        &mut self,
        broker: usize,
        tp: Tp,
        proposal: IsrProposal,
        result: Result<Response, AskError>,
    ) {
        let now = self.machines[broker].now(self.clock).monotonic;
        let Some(process) = self.process(broker) else { return };
        let Some(replica) = process.replicas.get_mut(&tp) else { return };
        let Role::Leader(leader) = &mut replica.role else { return };
        let epoch = leader.term().leader_epoch;
        if leader.proposal() != Some(&proposal) || epoch != proposal.leader_epoch {
            return;
        }
        match result {
            Err(AskError::Unknown) => {
                let delay = self.dice.millis(50, 200);
                self.set_timer(broker, delay, Timer::ProposeAgain(tp, epoch, proposal));
            }
            // Refused, or accepted and nothing to change; what was accepted has come with the image.
            Ok(_) | Err(AskError::Refused(_)) => {
                let mut effects = Vec::new();
                leader.proposal_refused(now, &mut effects);
                self.coverage.count("proposals refused");
                self.perform(broker, tp, effects);
            }
        }
    }

    pub(crate) fn propose_again(&mut self, broker: usize, tp: Tp, epoch: LeaderEpoch, proposal: IsrProposal) {
        let Some(process) = self.process(broker) else { return };
        let leader = process.replicas.get(&tp).and_then(|replica| replica.leader());
        if leader.is_some_and(|one| one.term().leader_epoch == epoch && one.proposal() == Some(&proposal)) {
            self.propose(broker, tp, proposal);
        }
    }

    pub(crate) fn look_for_laggards(&mut self, broker: usize) {
        let now = self.machines[broker].now(self.clock).monotonic;
        let Some(process) = self.process(broker) else { return };
        let all: Vec<Tp> = process.replicas.keys().copied().collect();
        for tp in all {
            let Some(process) = self.process(broker) else { return };
            let Some(Role::Leader(leader)) = process.replicas.get_mut(&tp).map(|replica| &mut replica.role) else {
                continue;
            };
            let mut effects = Vec::new();
            leader.tick(now, MAX_LAG, &mut effects);
            self.perform(broker, tp, effects);
        }
        self.set_timer(broker, Duration::from_millis(500), Timer::Lag);
    }

    /// Asks for a flush, where the topic wants its records on the disk.
    pub(crate) fn want_flush(&mut self, broker: usize, tp: Tp) {
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let (Some(replica), Some(log)) = (process.replicas.get(&tp), machine.disk.log(tp)) else { return };
        if replica.settings.durability != Durability::Fsync || log.flushed() == log.end() {
            return;
        }
        process.unflushed.insert(tp);
        self.begin_flushing(broker);
    }

    fn begin_flushing(&mut self, broker: usize) {
        let delay = self.dice.micros(20, 500);
        let Some(process) = self.process(broker) else { return };
        if !process.flushing && !process.unflushed.is_empty() {
            process.flushing = true;
            self.set_timer(broker, delay, Timer::Flush);
        }
    }

    pub(crate) fn flush(&mut self, broker: usize) {
        let mut delay = self.dice.micros(200, 8_000);
        let clock = self.clock;
        let machine = &mut self.machines[broker];
        if let Some((slowness, until)) = machine.slow_disk {
            if clock < until {
                delay += slowness;
            } else {
                machine.slow_disk = None;
            }
        }
        let Some(process) = &mut machine.process else { return };
        let wanted = std::mem::take(&mut process.unflushed);
        let flushes = wanted.into_iter().filter_map(|tp| Some((tp, machine.disk.log(tp)?.begin_flush())));
        let flushes = flushes.collect();
        self.set_timer(broker, delay, Timer::Flushed(flushes));
    }

    pub(crate) fn flushed(&mut self, broker: usize, flushes: Vec<(Tp, Flush)>) {
        let machine = &mut self.machines[broker];
        let meets = |place: &mut usize| flushes.iter().any(|(tp, _)| machine.disk.place_of(*tp) == Some(*place));
        if let Some(place) = machine.refuses_flush.take_if(meets) {
            self.directory_failed(broker, place);
        }
        for (tp, flush) in flushes {
            let machine = &mut self.machines[broker];
            let Some(process) = &mut machine.process else { return };
            let (Some(replica), Some(log)) = (process.replicas.get_mut(&tp), machine.disk.log_mut(tp)) else {
                continue;
            };
            let upto = log.end_flush(flush);
            match &mut replica.role {
                Role::Leader(leader) => {
                    let mut effects = Vec::new();
                    leader.flushed(upto, &mut effects);
                    self.perform(broker, tp, effects);
                }
                Role::Follower(follower) => {
                    let mut effects = Vec::new();
                    follower.flushed(upto, &mut effects);
                    let leader = follower.term().leader.0 as usize;
                    if effects.contains(&FollowerEffect::Fetch) {
                        self.fetch_now(broker, leader);
                    }
                    self.want_flush(broker, tp);
                }
            }
        }
        if let Some(process) = self.process(broker) {
            process.flushing = false;
        }
        self.begin_flushing(broker);
    }

    /// Writes down watermarks, and flushes what nobody asks to have flushed.
    pub(crate) fn keep_house(&mut self, broker: usize) {
        let delay = self.dice.millis(500, 3_000);
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        for (tp, replica) in &process.replicas {
            machine.disk.remember_watermark(*tp, replica.high_watermark);
            if machine.disk.log(*tp).is_some_and(|log| log.flushed() < log.end()) {
                process.unflushed.insert(*tp);
            }
        }
        self.begin_flushing(broker);
        self.set_timer(broker, delay, Timer::Housekeeping);
    }

    /// Batches for a follower.
    pub(crate) fn batches_from(&self, broker: usize, tp: Tp, offset: Offset) -> Vec<Batch> {
        let log = self.machines[broker].disk.log(tp);
        log.map(|log| log.read(offset, log.end(), READ).to_vec()).unwrap_or_default()
    }
}
