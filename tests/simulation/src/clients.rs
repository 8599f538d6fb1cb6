//! Producers and consumers, as Kafka's clients behave: they ask some broker who leads, retry, and keep their order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ottla_core::partition::RequiredAcks;
use ottla_core::{BrokerId, LeaderEpoch, Offset, ProducerId};

use crate::history::{Acked, History};
use crate::log::NewBatch;
use crate::message::{Event, Message, ProduceError, Tp};
use crate::network::Node;
use crate::world::World;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Refusals of its oldest batch as out of order after which a producer begins anew.
const STUBBORN: u32 = 12;

/// A batch that is not acked yet.
#[derive(Clone, Copy, Debug)]
struct Sent {
    batch: NewBatch,
    first: Duration,
    /// The request it is out in.
    request: Option<u64>,
}

/// A producer to one partition.
#[derive(Debug)]
pub struct Producer {
    tp: Tp,
    id: ProducerId,
    acks: RequiredAcks,
    sequence: i32,
    /// How many batches it has out at once.
    window: usize,
    unacked: VecDeque<Sent>,
    refused: u32,
    losses: u64,
}

/// A consumer of one partition.
#[derive(Debug)]
pub struct Consumer {
    tp: Tp,
    position: Offset,
    from_followers: bool,
    losses: u64,
}

/// What a request was for.
#[derive(Clone, Copy, Debug)]
enum Request {
    Produce { producer: usize, value: u64, tp: Tp, losses: u64 },
    Read { consumer: usize, offset: Offset, losses: u64 },
    Latest { consumer: usize, floor: (LeaderEpoch, Offset), losses: u64 },
}

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    requests: BTreeMap<u64, Request>,
    /// What they saw.
    pub history: History,
    values: u64,
    /// They send nothing new.
    pub resting: bool,
}

impl Clients {
    /// Whether every batch has been acked.
    pub fn are_done(&self) -> bool {
        self.producers.iter().all(|producer| producer.unacked.is_empty())
    }

    /// Partitions of producers that wait, for a story.
    pub fn waiting(&self) -> Vec<(Tp, usize)> {
        let waiting = self.producers.iter().filter(|producer| !producer.unacked.is_empty());
        waiting.map(|producer| (producer.tp, producer.unacked.len())).collect()
    }
}

impl World {
    /// Clients of `tp` begin.
    pub(crate) fn employ_clients(&mut self, tp: Tp) {
        for plain in [false, true] {
            let idempotent = !plain;
            let id = if idempotent { ProducerId(self.number() as i64) } else { ProducerId::NONE };
            let acks = if idempotent || self.dice.one_in(2) { RequiredAcks::All } else { RequiredAcks::Leader };
            let window = if idempotent { 1 + self.dice.index(4) } else { 1 };
            let unacked = VecDeque::new();
            let producer = Producer { tp, id, acks, sequence: 0, window, unacked, refused: 0, losses: 0 };
            self.clients.producers.push(producer);
            self.after(Duration::ZERO, Event::Producer(self.clients.producers.len() - 1));
        }
        let from_followers = self.dice.one_in(2);
        self.clients.consumers.push(Consumer { tp, position: Offset::ZERO, from_followers, losses: 0 });
        self.after(Duration::ZERO, Event::Consumer(self.clients.consumers.len() - 1));
    }

    /// Asks some broker who leads `tp`; the answer may be old.
    fn look_up(&mut self, tp: Tp, any_replica: bool) -> Option<usize> {
        let known = |machine: &crate::machine::Machine| {
            machine.is_awake() && self.network.connects(Node::Clients, Node::Broker(machine.id))
        };
        let alive: Vec<usize> = self.machines.iter().filter(|one| known(one)).map(|one| one.id).collect();
        let asked = *self.dice.pick(&alive)?;
        let image = self.machines[asked].process.as_ref().map(|process| std::sync::Arc::clone(&process.published))?;
        let state = image.topics().by_id(tp.topic)?.partition(tp.partition)?.clone();
        if any_replica && self.dice.one_in(2) {
            let replicas: Vec<BrokerId> = state.brokers().collect();
            return self.dice.pick(&replicas).map(|broker| broker.0 as usize);
        }
        (state.leader != BrokerId::NONE).then_some(state.leader.0 as usize)
    }

    pub(crate) fn produce(&mut self, index: usize) {
        let pause = self.dice.millis(20, 250);
        self.after(pause, Event::Producer(index));
        self.begin_anew_after_loss(index);
        let clock = self.clock;
        let (records, resting) = (self.dice.between(1, 3) as i64, self.clients.resting);
        let Clients { producers, values, .. } = &mut self.clients;
        let producer = &mut producers[index];
        if producer.unacked.len() < producer.window && !resting {
            *values += 1;
            let batch = NewBatch { records, producer: producer.id, sequence: producer.sequence, value: *values };
            producer.sequence += records as i32;
            producer.unacked.push_back(Sent { batch, first: clock, request: None });
        }
        self.send_unsent(index);
    }

    /// Sends every batch that is not out, in order. A later one is never sent before an earlier one is.
    fn send_unsent(&mut self, index: usize) {
        let tp = self.clients.producers[index].tp;
        let Some(leader) = self.look_up(tp, false) else { return };
        let losses = self.clients.history.losses(tp);
        for place in 0..self.clients.producers[index].unacked.len() {
            let producer = &self.clients.producers[index];
            let (sent, acks) = (producer.unacked[place], producer.acks);
            if sent.request.is_some() {
                continue;
            }
            let id = self.number();
            self.clients.producers[index].unacked[place].request = Some(id);
            let request = Request::Produce { producer: index, value: sent.batch.value, tp, losses };
            self.clients.requests.insert(id, request);
            let message = Message::Produce { id, tp, acks, batch: sent.batch };
            self.send(Node::Clients, Node::Broker(leader), message);
            self.after(PATIENCE, Event::ClientLost(id));
        }
    }

    /// After records were lost that may be, sequence numbers have a hole: a new producer id, and what was out is let go.
    fn begin_anew_after_loss(&mut self, index: usize) {
        let tp = self.clients.producers[index].tp;
        let losses = self.clients.history.losses(tp);
        let id = ProducerId(self.number() as i64);
        let producer = &mut self.clients.producers[index];
        if producer.losses == losses && producer.refused < STUBBORN {
            return;
        }
        if producer.losses == losses {
            self.coverage.count("producers that gave up their sequence");
        }
        producer.losses = losses;
        producer.refused = 0;
        producer.unacked.clear();
        producer.sequence = 0;
        if producer.id != ProducerId::NONE {
            producer.id = id;
        }
    }

    pub(crate) fn client_lost(&mut self, id: u64) {
        if let Some(Request::Produce { producer, .. }) = self.clients.requests.get(&id).copied() {
            self.coverage.count("client time-outs");
            self.take_back(producer, id);
        }
    }

    /// The batch of a request, and those after it, have to be sent again.
    fn take_back(&mut self, producer: usize, id: u64) {
        let unacked = &mut self.clients.producers[producer].unacked;
        let Some(place) = unacked.iter().position(|sent| sent.request == Some(id)) else { return };
        unacked.iter_mut().skip(place).for_each(|sent| sent.request = None);
    }

    pub(crate) fn client_receives(&mut self, message: Message) {
        match message {
            Message::Produced { id, result, leads } => self.produce_done(id, result, leads),
            Message::ReadDone { id, result, leads } => self.read_done(id, result, leads),
            message => unreachable!("nobody says {message:?} to a client"),
        }
    }

    fn produce_done(&mut self, id: u64, result: Result<Offset, ProduceError>, leads: Option<LeaderEpoch>) {
        let Some(Request::Produce { producer: index, value, tp, losses }) = self.clients.requests.remove(&id) else {
            return;
        };
        let clock = self.clock;
        let present = self.clients.history.losses(tp);
        // A leader that does not know yet of an unclean election acks what is lost already.
        let unclean = self.truth.partitions.get(&tp).map_or(LeaderEpoch(0), |known| known.unclean);
        let counts = losses == present && leads.is_none_or(|epoch| epoch >= unclean);
        let producer = &mut self.clients.producers[index];
        let place = producer.unacked.iter().position(|sent| sent.batch.value == value);
        match (result, place) {
            (Ok(offset), Some(place)) => {
                let sent = producer.unacked.remove(place).expect("it is there");
                producer.refused = 0;
                self.coverage.count("batches acked");
                if producer.acks == RequiredAcks::All && counts {
                    let acked = Acked { offset, value, sent: sent.first, acked: clock };
                    self.clients.history.acked(tp, acked);
                }
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                if error == ProduceError::OutOfOrder && place == Some(0) {
                    producer.refused += 1;
                }
                self.take_back(index, id);
            }
        }
    }

    pub(crate) fn consume(&mut self, index: usize) {
        let pause = self.dice.millis(30, 400);
        self.after(pause, Event::Consumer(index));
        let (tp, latest) = (self.clients.consumers[index].tp, self.dice.one_in(5));
        let losses = self.clients.history.losses(tp);
        let consumer = &mut self.clients.consumers[index];
        if consumer.losses != losses {
            consumer.losses = losses;
            consumer.position = Offset::ZERO;
        }
        let (position, from_followers) = (consumer.position, consumer.from_followers);
        let Some(broker) = self.look_up(tp, from_followers && !latest) else { return };
        let id = self.number();
        let offset = if latest { Offset(-1) } else { position };
        let request = if latest {
            Request::Latest { consumer: index, floor: self.clients.history.latest(tp), losses }
        } else {
            Request::Read { consumer: index, offset, losses }
        };
        self.clients.requests.insert(id, request);
        self.send(Node::Clients, Node::Broker(broker), Message::Read { id, tp, offset });
    }

    fn read_done(&mut self, id: u64, result: Option<(Vec<crate::log::Batch>, Offset)>, leads: Option<LeaderEpoch>) {
        let Some(request) = self.clients.requests.remove(&id) else { return };
        let Some((batches, watermark)) = result else { return };
        let (consumer, losses) = match request {
            Request::Read { consumer, losses, .. } | Request::Latest { consumer, losses, .. } => (consumer, losses),
            Request::Produce { .. } => return,
        };
        let tp = self.clients.consumers[consumer].tp;
        if losses != self.clients.history.losses(tp) {
            return;
        }
        // "Unclean election only where a topic asks", or where more was lost than is promised to survive: after it, those
        // who have not heard of it, and followers that have not cut their logs yet, still show what was before.
        let unclean = self.truth.partitions.get(&tp).map_or(LeaderEpoch(0), |known| known.unclean);
        if unclean > LeaderEpoch(0) && leads.is_none_or(|epoch| epoch < unclean) {
            return;
        }
        let outcome = match request {
            Request::Latest { floor, .. } => {
                self.clients.history.told_latest(tp, floor, (leads.unwrap_or(LeaderEpoch(0)), watermark))
            }
            Request::Read { offset, .. } if offset == self.clients.consumers[consumer].position => {
                self.read_only_committed(tp, &batches);
                let read = self.clients.history.read(tp, offset, &batches);
                read.map(|position| self.clients.consumers[consumer].position = position)
            }
            _ => Ok(()),
        };
        if let Err((promise, story)) = outcome {
            self.violated(promise, || story);
        }
    }

    /// C4: nobody reads what is not committed.
    fn read_only_committed(&mut self, tp: Tp, batches: &[crate::log::Batch]) {
        let Some(known) = self.truth.partitions.get(&tp) else { return };
        let phantom = batches.iter().find(|batch| {
            let place = known.committed.partition_point(|one| one.end() < batch.end());
            known.committed.get(place) != Some(batch)
        });
        if let Some(phantom) = phantom.copied() {
            self.violated("C4", || format!("a consumer of {tp:?} reads {phantom:?}, which is not committed"));
        }
    }
}
