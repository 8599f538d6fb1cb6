//! A coordinator, its log and its driver, as a test wants them.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use crate::coordinator::{AppendError, AppendId, EncodedRecord, Machine as _, NewBatch, Replayed, RequestId};
use crate::{Now, Producer, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition};

pub(super) const START: i64 = 1_000_000;
pub(super) const ID: &str = "copy-0";

/// A coordinator whose log acks at once unless told otherwise, and whose driver gives producer ids 100, 101, …
pub(super) struct Bench {
    pub(super) coordinator: Coordinator,
    pub(super) elapsed: Duration,
    pub(super) next_producer: i64,
    pub(super) next_request: u64,
    /// What was appended and acked.
    pub(super) log: Vec<EncodedRecord>,
    /// What becomes of appends; none leaves them on their way.
    pub(super) append: Option<Result<(), AppendError>>,
    pub(super) held: Vec<(AppendId, Vec<EncodedRecord>)>,
    pub(super) markers: Vec<Markers>,
    pub(super) replies: Vec<(RequestId, Response)>,
}

pub(super) fn partition(name: &str) -> TopicPartition {
    let (topic, index) = name.rsplit_once('-').unwrap();
    TopicPartition::new(TopicName::new(topic).unwrap(), index.parse().unwrap())
}

pub(super) fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        let mut bench = Self {
            coordinator: Coordinator::new(config),
            elapsed: Duration::ZERO,
            next_producer: 100,
            next_request: 0,
            log: Vec::new(),
            append: Some(Ok(())),
            held: Vec::new(),
            markers: Vec::new(),
            replies: Vec::new(),
        };
        let effects = bench.coordinator.start(bench.now());
        bench.perform(effects);
        bench
    }

    /// Another broker takes over what was acked.
    pub(super) fn failed_over(self) -> Self {
        let mut coordinator = Coordinator::new(Config::default());
        for record in &self.log {
            let (key, value) = (&record.key[..], record.value.as_deref());
            coordinator.replay(Replayed::Record { key, value, transaction: None }).unwrap();
        }
        let mut next = Self { coordinator, held: Vec::new(), markers: Vec::new(), replies: Vec::new(), ..self };
        let effects = next.coordinator.start(next.now());
        next.perform(effects);
        next
    }

    pub(super) fn now(&self) -> Now {
        let wall = START + i64::try_from(self.elapsed.as_millis()).unwrap();
        Now { monotonic: self.elapsed, wall: Timestamp(wall) }
    }

    pub(super) fn event(&mut self, event: Event) {
        let effects = self.coordinator.handle(self.now(), event);
        self.perform(effects);
    }

    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(id, response) => self.replies.push((id, response)),
                Effect::Act(Act::WriteMarkers(markers)) => self.markers.push(markers),
                Effect::Act(Act::AllocateProducerId) => {
                    self.next_producer += 1;
                    self.event(Event::Note(Note::ProducerId(Some(ProducerId(self.next_producer - 1)))));
                }
                Effect::Append(id, NewBatch { records, .. }) => match self.append {
                    Some(result) => {
                        if result.is_ok() {
                            self.log.extend(records);
                        }
                        self.event(Event::Appended(id, result));
                    }
                    None => self.held.push((id, records)),
                },
                Effect::Prune(offset) => panic!("a compacted log is pruned below {offset}"),
            }
        }
    }

    /// The log acks what it held back.
    pub(super) fn release(&mut self) {
        for (id, records) in std::mem::take(&mut self.held) {
            self.log.extend(records);
            self.event(Event::Appended(id, Ok(())));
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.elapsed += time;
        self.event(Event::Tick);
    }

    /// Asks, and gives the answer if there is one already.
    pub(super) fn ask(&mut self, request: Request) -> Option<Response> {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.event(Event::Request(id, request));
        let at = self.replies.iter().position(|(of, _)| *of == id)?;
        Some(self.replies.remove(at).1)
    }

    pub(super) fn init_as(&mut self, expected: Option<Producer>) -> Result<Producer, Error> {
        let timeout = Duration::from_secs(60);
        let request = InitProducerId { transactional_id: ID.into(), timeout, expected };
        match self.ask(Request::Init(request)).expect("answered") {
            Response::Init(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn init(&mut self) -> Result<Producer, Error> {
        self.init_as(None)
    }

    pub(super) fn adding(producer: Producer, names: &[&str], version: TransactionVersion) -> AddPartitions {
        let partitions = names.iter().map(|name| partition(name)).collect();
        AddPartitions { transactional_id: ID.into(), producer, partitions, version }
    }

    pub(super) fn add(&mut self, producer: Producer, names: &[&str]) -> Result<(), Error> {
        match self.ask(Request::Add(Self::adding(producer, names, TransactionVersion::V2))).expect("answered") {
            Response::Add(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn verify(&mut self, producer: Producer, names: &[&str]) -> Result<Verified, Error> {
        match self.ask(Request::Verify(Self::adding(producer, names, TransactionVersion::V1))).expect("answered") {
            Response::Verify(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end_by(
        &mut self,
        producer: Producer,
        commit: bool,
        version: TransactionVersion,
    ) -> Result<Producer, Error> {
        let end = End { transactional_id: ID.into(), producer, commit, version };
        match self.ask(Request::End(end)).expect("answered") {
            Response::End(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end(&mut self, producer: Producer, commit: bool) -> Result<Producer, Error> {
        self.end_by(producer, commit, TransactionVersion::V2)
    }

    pub(super) fn state(&mut self) -> Described {
        match self.ask(Request::Describe(ID.into())).expect("answered") {
            Response::Describe(result) => result.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The markers asked for last are durable.
    pub(super) fn markers_written(&mut self) -> Markers {
        let markers = self.markers.pop().expect("markers were asked for");
        let partitions = markers.partitions.iter().cloned().collect();
        let transactional_id = Arc::clone(&markers.transactional_id);
        self.event(Event::Note(Note::MarkersWritten { transactional_id, producer: markers.producer, partitions }));
        markers
    }
}
