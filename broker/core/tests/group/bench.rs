//! A coordinator with a clock that is moved by hand and a log in memory.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_core::coordinator::{AppendError, AppendId, EncodedRecord, Machine as _, NewBatch, Replayed, RequestId};
use ottla_core::group::{
    AskStates, Config, ConsumerConfig, Coordinator, Effect, Error, Event, Joined, Note, Request, Response, ShareConfig,
    StateCall,
};
use ottla_core::metadata::{Image, LeaderRecovery, Partition, Record};
use ottla_core::{BrokerId, LeaderEpoch, Now, PartitionEpoch, ProducerId, Timestamp, TopicId, TopicName};
use uuid::Uuid;

/// Wall time at the start, so that wall and monotonic times cannot be mistaken for one another.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// What the log takes at most, as `max.message.bytes` is by default.
const MAX_BATCH: usize = 1 << 20;

/// What the log holds.
#[derive(Clone, Debug)]
pub enum Logged {
    Record(EncodedRecord, Option<ProducerId>),
    TransactionEnd { producer: ProducerId, commit: bool },
}

/// Kafka's defaults, but that groups are assigned as often as said, and classic ones at once.
pub fn assigning_every(interval: Duration) -> Config {
    let default = Config::default();
    Config {
        initial_rebalance_delay: Duration::ZERO,
        consumer: ConsumerConfig { assignment_interval: interval, ..default.consumer },
        share: ShareConfig { assignment_interval: interval, ..default.share },
        ..default
    }
}

pub struct Bench {
    pub coordinator: Coordinator,
    pub config: Config,
    pub clock: Duration,
    /// The cluster as the coordinator knows it.
    pub image: Arc<Image>,
    /// All that is durable, and what is on its way.
    pub log: Vec<Logged>,
    pub in_flight: VecDeque<(AppendId, NewBatch)>,
    /// Whether appends are durable at once.
    pub is_prompt: bool,
    pub replies: BTreeMap<RequestId, Response>,
    /// Calls of the share coordinators that have no answer yet.
    pub calls: VecDeque<StateCall>,
    next_request: u64,
}

impl Bench {
    pub fn new(config: Config) -> Self {
        let mut bench = Self {
            coordinator: Coordinator::new(config.clone()),
            config,
            clock: Duration::from_secs(100),
            image: Arc::default(),
            log: Vec::new(),
            in_flight: VecDeque::new(),
            is_prompt: true,
            replies: BTreeMap::new(),
            calls: VecDeque::new(),
            next_request: 0,
        };
        let effects = bench.coordinator.start(bench.now());
        bench.perform(effects);
        bench
    }

    /// Without the delay of a first rebalance, and without intervals between targets.
    pub fn without_delay() -> Self {
        Self::new(assigning_every(Duration::ZERO))
    }

    pub fn now(&self) -> Now {
        Now { monotonic: self.clock, wall: Timestamp(EPOCH_MS + self.clock.as_millis() as i64) }
    }

    /// Sends a request; its reply, now or later, is in `replies`.
    pub fn send(&mut self, request: Request) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.handle(Event::Request(id, request));
        id
    }

    /// Sends a request that is answered at once.
    pub fn call(&mut self, request: Request) -> Response {
        let id = self.send(request);
        self.take(id).expect("the request is answered at once")
    }

    pub fn take(&mut self, id: RequestId) -> Option<Response> {
        self.replies.remove(&id)
    }

    pub fn take_join(&mut self, id: RequestId) -> Joined {
        match self.take(id) {
            Some(Response::Join(joined)) => joined,
            other => panic!("no join but {other:?}"),
        }
    }

    pub fn handle(&mut self, event: Event) {
        let effects = self.coordinator.handle(self.now(), event);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(id, response) => {
                    assert!(id.0 <= self.next_request, "{id:?} was never sent");
                    assert_eq!(self.replies.insert(id, response), None, "{id:?} is answered twice");
                }
                Effect::Append(id, batch) => {
                    let size: usize = batch.records.iter().map(size).sum();
                    assert!(size < MAX_BATCH, "a batch of {size} bytes is never taken by the log");
                    self.in_flight.push_back((id, batch));
                }
                Effect::Act(call) => self.calls.push_back(call),
                Effect::Prune(offset) => panic!("a compacted log is pruned below {offset}"),
            }
        }
        if self.is_prompt {
            self.drain();
        }
    }

    /// The oldest append becomes durable.
    pub fn make_durable(&mut self) {
        let (id, batch) = self.in_flight.pop_front().expect("an append is on its way");
        let transaction = batch.transaction.map(|transaction| transaction.producer.id);
        self.log.extend(batch.records.into_iter().map(|record| Logged::Record(record, transaction)));
        self.handle(Event::Appended(id, Ok(())));
    }

    /// All that is on its way becomes durable.
    pub fn drain(&mut self) {
        while !self.in_flight.is_empty() {
            self.make_durable();
        }
    }

    /// The marker of a transaction becomes durable.
    pub fn end_transaction(&mut self, producer: ProducerId, commit: bool) {
        self.log.push(Logged::TransactionEnd { producer, commit });
        self.handle(Event::Note(Note::TransactionEnded { producer, commit }));
    }

    /// The cluster has these topics and numbers of partitions from here on.
    pub fn tell(&mut self, topics: &[(&str, i32)]) {
        self.tell_image(image(topics));
    }

    /// The cluster is this one from here on.
    pub fn tell_image(&mut self, image: Image) {
        self.image = Arc::new(image);
        self.handle(Event::Note(Note::Metadata(Arc::clone(&self.image))));
    }

    /// The newest append fails.
    pub fn fail_newest(&mut self, error: AppendError) {
        let (id, _) = self.in_flight.pop_back().expect("an append is on its way");
        self.handle(Event::Appended(id, Err(error)));
    }

    /// The oldest append fails.
    pub fn fail_oldest(&mut self, error: AppendError) {
        let (id, _) = self.in_flight.pop_front().expect("an append is on its way");
        self.handle(Event::Appended(id, Err(error)));
    }

    /// The log is compacted: of each key the last record is left, and none if that is a deletion.
    pub fn compact(&mut self) {
        self.compact_keeping_deletions();
        self.log.retain(|logged| !matches!(logged, Logged::Record(EncodedRecord { value: None, .. }, _)));
    }

    /// The log is compacted as it is for `delete.retention.ms`: deletions are left.
    pub fn compact_keeping_deletions(&mut self) {
        let mut seen = HashSet::new();
        let mut log: Vec<Logged> = std::mem::take(&mut self.log).into_iter().rev().collect();
        log.retain(|logged| match logged {
            Logged::Record(record, _) => seen.insert(record.key.clone()),
            Logged::TransactionEnd { .. } => true,
        });
        self.log = log.into_iter().rev().collect();
    }

    /// The share coordinators answer the oldest call: the same for each partition.
    pub fn answer_call(&mut self, result: Result<(), Error>) -> StateCall {
        let call = self.calls.pop_front().expect("a call was made");
        let partitions: Vec<(TopicId, i32)> = match &call.ask {
            AskStates::Initialize { partitions, .. } => partitions.iter().map(|(t, index, _)| (*t, *index)).collect(),
            AskStates::Delete(partitions) => partitions.iter().collect(),
        };
        let results = partitions.into_iter().map(|(topic, index)| (topic, index, result)).collect();
        self.handle(Event::Note(Note::StatesAnswered(call.id, results)));
        call
    }

    /// Moves the clock, with a tick at every deadline on the way.
    pub fn advance(&mut self, by: Duration) {
        let end = self.clock + by;
        while let Some(deadline) = self.coordinator.next_deadline().filter(|deadline| *deadline <= end) {
            assert!(deadline >= self.clock || self.clock == end, "a deadline in the past is not taken off");
            self.clock = self.clock.max(deadline);
            self.handle(Event::Tick);
        }
        self.clock = end;
    }

    /// The coordinator moves: parked requests are refused, another one loads the durable records.
    pub fn reload(&mut self) {
        let unloaded = std::mem::replace(&mut self.coordinator, Coordinator::new(self.config.clone()));
        for effect in unloaded.unload() {
            match effect {
                Effect::Reply(id, response) => assert_eq!(self.replies.insert(id, response), None, "{id:?}"),
                Effect::Append(..) | Effect::Act(_) | Effect::Prune(_) => {
                    panic!("an unloaded coordinator has things done")
                }
            }
        }
        self.in_flight.clear();
        self.calls.clear();
        self.coordinator = loaded(&self.config, &self.log);
        let effects = self.coordinator.start(self.now());
        self.perform(effects);
        self.handle(Event::Note(Note::Metadata(Arc::clone(&self.image))));
    }
}

fn size(record: &EncodedRecord) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, Bytes::len)
}

/// A cluster with these topics and numbers of partitions; the id of a topic is made of its name.
pub fn image(topics: &[(&str, i32)]) -> Image {
    let mut image = Image::default();
    for (name, partitions) in topics {
        let id = topic_id(name);
        image.apply(&Record::TopicCreated { name: topic(name), id }).expect("the topic is new");
        for partition in 0..*partitions {
            let state = Arc::new(unled_partition());
            image.apply(&Record::PartitionCreated { topic: id, partition, state }).expect("partitions come in order");
        }
    }
    image
}

fn unled_partition() -> Partition {
    Partition {
        replicas: Vec::new(),
        isr: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        leader: BrokerId::NONE,
        recovery: LeaderRecovery::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        unflushed: false,
    }
}

pub fn topic_id(name: &str) -> TopicId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    TopicId(Uuid::from_bytes(bytes))
}

/// A coordinator rebuilt from records.
pub fn loaded(config: &Config, log: &[Logged]) -> Coordinator {
    let mut coordinator = Coordinator::new(config.clone());
    for logged in log {
        let replayed = match logged {
            Logged::Record(EncodedRecord { key, value }, transaction) => {
                Replayed::Record { key, value: value.as_deref(), transaction: *transaction }
            }
            Logged::TransactionEnd { producer, commit } => {
                Replayed::TransactionEnd { producer: *producer, commit: *commit }
            }
        };
        coordinator.replay(replayed).expect("own records can be read");
    }
    coordinator
}

pub fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("a valid name")
}
