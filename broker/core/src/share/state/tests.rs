//! What the coordinator does, effect by effect, over a log that acks when told.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::stored::{Change, Stored, Update};
use super::*;
use crate::coordinator::{AppendError, AppendId, EncodedRecord, Machine as _, NewBatch, Replayed, RequestId};
use crate::metadata::{Image, LeaderRecovery, Partition, Record};
use crate::share::{DeliveryState, Key, StateBatch};
use crate::{BrokerId, LeaderEpoch, Now, Offset, PartitionEpoch, StateEpoch, Timestamp, TopicId, TopicName};

const TOPIC: TopicId = TopicId(Uuid::from_u128(7));
const START: i64 = 1_000_000;

fn key() -> Key {
    Key::new("g", TOPIC, 0)
}

fn batch(first: i64, last: i64, state: DeliveryState, count: u16) -> StateBatch {
    StateBatch::new(Offset(first), Offset(last), state, count).unwrap()
}

/// A cluster with the topic, if it `has_topic`.
fn image(has_topic: bool) -> Arc<Image> {
    let mut image = Image::default();
    if has_topic {
        image.apply(&Record::TopicCreated { name: TopicName::new("t").unwrap(), id: TOPIC }).unwrap();
        for partition in 0..2 {
            image.apply(&Record::PartitionCreated { topic: TOPIC, partition, state: Arc::new(unled()) }).unwrap();
        }
    }
    Arc::new(image)
}

fn unled() -> Partition {
    Partition {
        replicas: Vec::new(),
        isr: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        leader: BrokerId::NONE,
        recovery: LeaderRecovery::default(),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        unflushed: false,
    }
}

/// A coordinator with its log.
struct Bench {
    coordinator: Coordinator,
    elapsed: Duration,
    /// What is durable.
    log: Vec<EncodedRecord>,
    /// What is on its way.
    appends: Vec<(AppendId, EncodedRecord)>,
    next_request: u64,
    pruned: Vec<Offset>,
    replies: Vec<(RequestId, Response)>,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self::over(Vec::new(), config, Duration::ZERO)
    }

    /// The coordinator that finds `log`.
    fn over(log: Vec<EncodedRecord>, config: Config, elapsed: Duration) -> Self {
        let mut coordinator = Coordinator::new(config);
        for (offset, record) in (0..).zip(&log) {
            coordinator.replaying(Offset(offset));
            let (key, value) = (&record.key[..], record.value.as_deref());
            coordinator.replay(Replayed::Record { key, value, transaction: None }).unwrap();
        }
        let (appends, pruned, replies) = (Vec::new(), Vec::new(), Vec::new());
        let mut bench = Self { coordinator, elapsed, log, appends, next_request: 0, pruned, replies };
        let effects = bench.coordinator.start(bench.now());
        bench.perform(effects);
        for _ in 0..2 {
            bench.event(Event::Note(Note::Metadata(image(true))));
        }
        bench
    }

    fn now(&self) -> Now {
        let wall = START + i64::try_from(self.elapsed.as_millis()).unwrap();
        Now { monotonic: self.elapsed, wall: Timestamp(wall) }
    }

    fn event(&mut self, event: Event) {
        let effects = self.coordinator.handle(self.now(), event);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(id, response) => self.replies.push((id, response)),
                Effect::Append(id, NewBatch { mut records, .. }) => {
                    let offset = self.log.len() + self.appends.len();
                    self.appends.push((id, records.remove(0)));
                    self.coordinator.placed(id, Offset(offset as i64));
                }
                Effect::Prune(offset) => self.pruned.push(offset),
                Effect::Act(act) => match act {},
            }
        }
    }

    /// The log makes all that is on its way durable.
    fn flush(&mut self) {
        while !self.appends.is_empty() {
            let (id, record) = self.appends.remove(0);
            self.log.push(record);
            self.event(Event::Appended(id, Ok(())));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.elapsed += time;
        self.event(Event::Tick);
    }

    fn send(&mut self, request: Request) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.event(Event::Request(id, request));
        id
    }

    /// Asks, with the log durable at once.
    fn ask(&mut self, request: Request) -> Response {
        let id = self.send(request);
        self.flush();
        let at = self.replies.iter().position(|(of, _)| *of == id).expect("answered");
        self.replies.remove(at).1
    }

    fn initialize(&mut self, state_epoch: i32, start: Option<i64>) -> Response {
        let (state_epoch, start) = (StateEpoch(state_epoch), start.map(Offset));
        self.ask(Request::Initialize { key: key(), state_epoch, start })
    }

    fn state(&mut self, leader_epoch: i32) -> Result<State, Error> {
        match self.ask(Request::Read(key(), LeaderEpoch(leader_epoch))) {
            Response::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    /// The changes that the log tells of.
    fn changes(&self) -> Vec<Change> {
        let read = |record: &EncodedRecord| record::decode(&record.key, record.value.as_deref()).unwrap().unwrap().1;
        self.log.iter().map(read).collect()
    }
}

fn write(state_epoch: i32, leader_epoch: i32, start: Option<i64>, batches: Vec<StateBatch>) -> Request {
    let (state_epoch, leader_epoch) = (StateEpoch(state_epoch), LeaderEpoch(leader_epoch));
    Request::Write(key(), Write { state_epoch, leader_epoch, start: start.map(Offset), complete: Some(0), batches })
}

const DONE: Response = Response::Done(Ok(()));

#[test]
fn a_group_begins_and_its_leaders_write_what_the_next_one_reads() {
    use DeliveryState::{Acknowledged, Available};
    let mut bench = Bench::new(Config::default());
    assert_eq!(bench.initialize(1, Some(10)), DONE);
    assert_eq!(bench.state(3), Ok(State { state_epoch: StateEpoch(1), start: Some(Offset(10)), batches: vec![] }));
    assert_eq!(bench.ask(write(1, 3, Some(10), vec![batch(10, 14, Available, 1)])), DONE);
    assert_eq!(bench.ask(write(1, 3, Some(12), vec![batch(12, 12, Acknowledged, 1)])), DONE);
    let batches = vec![batch(12, 12, Acknowledged, 1), batch(13, 14, Available, 1)];
    let expected = Ok(State { state_epoch: StateEpoch(1), start: Some(Offset(12)), batches });
    assert_eq!(bench.state(3), expected);

    let mut next = Bench::over(bench.log, Config::default(), bench.elapsed);
    assert_eq!(next.state(3), expected);
    let summary = Summary {
        state_epoch: StateEpoch(1),
        leader_epoch: LeaderEpoch(3),
        start: Some(Offset(12)),
        complete: Some(0),
    };
    assert_eq!(next.ask(Request::Summarize(key())), Response::Summary(Ok(summary)));
}

#[test]
fn a_record_is_answered_for_once_it_is_durable_and_those_about_the_same_partition_wait_for_it() {
    let mut bench = Bench::new(Config::default());
    let begun = bench.send(Request::Initialize { key: key(), state_epoch: StateEpoch(0), start: None });
    let read = bench.send(Request::Read(key(), LeaderEpoch::NONE));
    assert_eq!((bench.replies.len(), bench.appends.len()), (0, 1));
    let other = bench.send(Request::Summarize(Key::new("h", TOPIC, 1)));
    assert_eq!(bench.replies, [(other, Response::Summary(Ok(Summary::default())))], "another partition does not wait");
    bench.flush();
    let state = State { state_epoch: StateEpoch(0), start: None, batches: vec![] };
    assert_eq!(bench.replies[1..], [(begun, DONE), (read, Response::State(Ok(state)))]);
}

#[test]
fn a_record_that_the_log_refuses_leaves_nothing_behind() {
    let mut bench = Bench::new(Config::default());
    let begun = bench.send(Request::Initialize { key: key(), state_epoch: StateEpoch(0), start: None });
    let read = bench.send(Request::Read(key(), LeaderEpoch::NONE));
    let (id, _) = bench.appends.remove(0);
    bench.event(Event::Appended(id, Err(AppendError::NotEnoughReplicas)));
    let refused = (begun, Response::Done(Err(Error::CoordinatorNotAvailable)));
    assert_eq!(bench.replies, [refused, (read, Response::State(Err(Error::ReadUninitialized)))]);
}

#[test]
fn an_append_that_takes_too_long_is_no_longer_waited_for_and_counts_when_it_is_durable() {
    let mut bench = Bench::new(Config::default());
    let begun = bench.send(Request::Initialize { key: key(), state_epoch: StateEpoch(4), start: None });
    let read = bench.send(Request::Read(key(), LeaderEpoch::NONE));
    bench.pass(Duration::from_secs(5));
    let late = Error::CoordinatorNotAvailable;
    assert_eq!(bench.replies, [(begun, Response::Done(Err(late))), (read, Response::State(Err(late)))]);
    bench.flush();
    assert_eq!(bench.state(-1).unwrap().state_epoch, StateEpoch(4));
}

#[test]
fn what_was_not_begun_is_neither_read_nor_written_but_may_be_summarized_and_deleted() {
    let mut bench = Bench::new(Config::default());
    assert_eq!(bench.state(0), Err(Error::ReadUninitialized));
    assert_eq!(bench.ask(write(0, 0, None, vec![])), Response::Done(Err(Error::WriteUninitialized)));
    assert_eq!(bench.ask(Request::Summarize(key())), Response::Summary(Ok(Summary::default())));
    assert_eq!(bench.ask(Request::Delete(key())), DONE);
    assert_eq!(bench.log, []);
}

#[test]
fn a_leader_that_reads_fences_those_before_it_also_after_a_new_beginning() {
    let mut bench = Bench::new(Config::default());
    bench.initialize(0, None);
    bench.state(5).unwrap();
    assert_eq!(bench.state(4), Err(Error::FencedLeaderEpoch));
    assert_eq!(bench.ask(write(0, 4, None, vec![])), Response::Done(Err(Error::FencedLeaderEpoch)));
    assert_eq!(bench.initialize(1, Some(0)), DONE);
    assert_eq!(bench.state(4), Err(Error::FencedLeaderEpoch));
    assert_eq!(bench.ask(write(1, 5, None, vec![])), DONE);
}

#[test]
fn a_new_beginning_forgets_the_one_before_and_fences_who_knows_only_that() {
    let mut bench = Bench::new(Config::default());
    bench.initialize(1, Some(0));
    bench.ask(write(1, 0, None, vec![batch(0, 3, DeliveryState::Acknowledged, 1)]));
    assert_eq!(bench.initialize(2, Some(50)), DONE);
    assert_eq!(bench.state(-1), Ok(State { state_epoch: StateEpoch(2), start: Some(Offset(50)), batches: vec![] }));
    assert_eq!(bench.ask(write(1, 0, None, vec![])), Response::Done(Err(Error::FencedStateEpoch)));
    assert_eq!(bench.initialize(1, Some(0)), Response::Done(Err(Error::FencedStateEpoch)));
}

#[test]
fn impossible_partitions_and_topics_that_are_not_there_are_refused() {
    let mut bench = Bench::new(Config::default());
    let asked = |key| Request::Initialize { key, state_epoch: StateEpoch(0), start: None };
    let mut refused = |key| bench.ask(asked(key));
    assert_eq!(refused(Key::new("g", TOPIC, -1)), Response::Done(Err(Error::NegativePartition)));
    assert_eq!(refused(Key::new(&"g".repeat(40_000), TOPIC, 0)), Response::Done(Err(Error::GroupIdTooLong)));
    let unknown = Response::Done(Err(Error::UnknownTopicOrPartition));
    assert_eq!(refused(Key::new("g", TOPIC, 2)), unknown);
    assert_eq!(refused(Key::new("g", TopicId(Uuid::from_u128(8)), 0)), unknown);
}

#[test]
fn after_so_many_updates_comes_a_snapshot_of_it_all() {
    use DeliveryState::Acknowledged;
    let mut bench = Bench::new(Config { updates_per_snapshot: 2, ..Config::default() });
    bench.initialize(0, Some(0));
    for offset in 0..3 {
        bench.ask(write(0, 0, None, vec![batch(2 * offset, 2 * offset, Acknowledged, 1)]));
    }
    let update = |offset| {
        Change::Update(Update {
            snapshot_epoch: 0,
            leader_epoch: LeaderEpoch(0),
            start: None,
            complete: Some(0),
            batches: vec![batch(offset, offset, Acknowledged, 1)],
        })
    };
    let snapshot = |snapshot_epoch, batches| {
        Change::Snapshot(Stored {
            snapshot_epoch,
            state_epoch: StateEpoch(0),
            leader_epoch: LeaderEpoch(0),
            start: Some(Offset(0)),
            complete: Some(0),
            batches,
            created: Timestamp(START),
            written: Timestamp(START),
        })
    };
    let all = [0, 2, 4].map(|offset| batch(offset, offset, Acknowledged, 1)).to_vec();
    assert_eq!(bench.changes(), [snapshot(0, vec![]), update(0), update(2), snapshot(1, all)]);
}

#[test]
fn what_lies_before_every_snapshot_is_pruned_once_cold_partitions_are_written_anew() {
    let mut bench = Bench::new(Config { cold_snapshot_interval: Duration::from_secs(100), ..Config::default() });
    bench.initialize(0, Some(0));
    let initialize = |partition| Request::Initialize {
        key: Key::new("g", TOPIC, partition),
        state_epoch: StateEpoch(0),
        start: None,
    };
    bench.ask(initialize(1));
    bench.ask(write(0, 0, None, vec![]));
    bench.pass(Duration::from_secs(100));
    bench.flush();
    assert_eq!(bench.log.len(), 5, "both partitions are written anew");
    bench.pass(Duration::from_secs(200));
    bench.flush();
    assert_eq!(bench.log.len(), 5, "that they stay as they are needs to be written once");
    assert_eq!(bench.pruned, [Offset(3)]);
}

#[test]
fn a_topic_that_is_deleted_takes_its_share_partitions_with_it() {
    let mut bench = Bench::new(Config::default());
    bench.initialize(0, Some(0));
    let mut next = Bench::over(bench.log, Config::default(), bench.elapsed);
    next.event(Event::Note(Note::Metadata(image(false))));
    next.flush();
    assert_eq!(next.changes().last(), Some(&Change::Forget));
    next.pass(Duration::from_secs(300));
    assert_eq!(next.pruned, [Offset(2)], "nothing is needed any more");
}

#[test]
fn an_image_older_than_the_coordinators_term_deletes_nothing() {
    let mut bench = Bench::new(Config::default());
    bench.initialize(0, Some(0));
    let record = bench.log.remove(0);
    let mut coordinator = Coordinator::new(Config::default());
    let (key, value) = (&record.key[..], record.value.as_deref());
    coordinator.replay(Replayed::Record { key, value, transaction: None }).unwrap();
    coordinator.start(bench.now());
    for has_topic in [false, true] {
        let effects = coordinator.handle(bench.now(), Event::Note(Note::Metadata(image(has_topic))));
        assert_eq!(effects, []);
    }
}

#[test]
fn whoever_waits_is_told_when_the_partition_is_led_elsewhere() {
    let mut bench = Bench::new(Config::default());
    let begun = bench.send(Request::Initialize { key: key(), state_epoch: StateEpoch(0), start: None });
    let read = bench.send(Request::Read(key(), LeaderEpoch::NONE));
    let refused = Error::NotCoordinator;
    let replies =
        [Effect::Reply(begun, Response::Done(Err(refused))), Effect::Reply(read, Response::State(Err(refused)))];
    assert_eq!(bench.coordinator.unload(), replies);
}
