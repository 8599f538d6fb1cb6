//! The machine itself: one step of a share partition at a time, and what follows once its record is durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::decide::{Decision, decide};
use super::event::{Effect, Event, Note, Request, Response};
use super::stored::{Change, Stored};
use super::{Config, Error, record};
use crate::controller::internal_topics::SHARE_GROUP_STATE;
use crate::coordinator::{AppendError, AppendId, Machine, RecordError, Replayed, RequestId, Timers};
use crate::metadata::Image;
use crate::share::Key;
use crate::{Now, Offset, Timestamp, TopicId};

/// What an alarm is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    /// An answer no longer waits for an append.
    Append(AppendId),
    /// What has long not changed is written anew.
    Snapshot,
    /// The beginning of the log may be deleted.
    Prune,
}

/// One share partition.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it is stored.
    pub(super) stored: Stored,
    /// Updates since the snapshot.
    pub(super) updates: u32,
    /// Where the snapshot stands in the log: nothing before it tells of the share partition any more.
    snapshot_at: Offset,
}

/// A record on its way to the log.
#[derive(Debug)]
struct InFlight {
    key: Key,
    change: Change,
    /// Who waits, and the answer once it is durable.
    then: Option<(RequestId, Request, Response)>,
    at: Offset,
}

/// The requests about a share partition that wait while a record of it is on its way; none is asked for by nobody but us.
type Waiting = VecDeque<(Option<RequestId>, Request)>;

/// The share partitions of one `__share_group_state` partition.
///
/// Its life is that of a [`Machine`].
#[derive(Debug)]
pub struct Coordinator {
    config: Config,
    now: Now,
    /// None until it is told.
    image: Option<Arc<Image>>,
    entries: BTreeMap<Key, Entry>,
    /// Of each share partition with a record on its way.
    waiting: BTreeMap<Key, Waiting>,
    in_flight: BTreeMap<AppendId, InFlight>,
    last_append: AppendId,
    /// Where what is replayed stands.
    replaying: Offset,
    /// One past the last record that is durable.
    end: Offset,
    /// What may have been deleted.
    pruned: Offset,
    timers: Timers<Timer>,
    effects: Vec<Effect>,
}

impl Machine for Coordinator {
    const TOPIC: &'static str = SHARE_GROUP_STATE;
    type Config = Config;
    type Request = Request;
    type Response = Response;
    type Note = Note;
    type Act = Infallible;

    fn new(config: Config) -> Self {
        Self {
            config,
            now: Now { monotonic: Duration::ZERO, wall: Timestamp::NONE },
            image: None,
            entries: BTreeMap::new(),
            waiting: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            last_append: AppendId::default(),
            replaying: Offset::ZERO,
            end: Offset::ZERO,
            pruned: Offset::ZERO,
            timers: Timers::default(),
            effects: Vec::new(),
        }
    }

    fn replaying(&mut self, offset: Offset) {
        self.replaying = offset;
    }

    fn replay(&mut self, replayed: Replayed<'_>) -> Result<(), RecordError> {
        let Replayed::Record { key, value, .. } = replayed else { return Ok(()) };
        if let Some((key, change)) = record::decode(key, value)? {
            self.apply(key, change, self.replaying);
        }
        Ok(())
    }

    fn start(&mut self, now: Now) -> Vec<Effect> {
        self.now = now;
        self.schedule(Timer::Snapshot, self.config.cold_snapshot_interval);
        self.schedule(Timer::Prune, self.config.prune_interval);
        self.take_effects()
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    fn placed(&mut self, append: AppendId, offset: Offset) {
        if let Some(in_flight) = self.in_flight.get_mut(&append) {
            in_flight.at = offset;
        }
    }

    fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        self.now = now;
        match event {
            Event::Request(id, request) => self.enqueue(Some(id), request),
            Event::Appended(id, result) => self.appended(id, result),
            Event::Note(Note::Metadata(image)) => self.cluster_is(image),
            Event::Tick => {
                while let Some(timer) = self.timers.pop_due(now.monotonic) {
                    self.alarm(timer);
                }
            }
        }
        self.take_effects()
    }

    fn unload(mut self) -> Vec<Effect> {
        for in_flight in std::mem::take(&mut self.in_flight).into_values() {
            self.refuse(in_flight.then.map(|(id, request, _)| (id, request)), Error::NotCoordinator);
        }
        for (id, request) in std::mem::take(&mut self.waiting).into_values().flatten() {
            self.refuse(id.map(|id| (id, request)), Error::NotCoordinator);
        }
        self.take_effects()
    }
}

impl Coordinator {
    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn schedule(&mut self, timer: Timer, after: Duration) {
        self.timers.schedule(timer, self.now.monotonic.saturating_add(after));
    }

    fn refuse(&mut self, asked: Option<(RequestId, Request)>, error: Error) {
        if let Some((id, request)) = asked {
            self.effects.push(Effect::Reply(id, request.refused(error)));
        }
    }

    /// Takes a request up, or has it wait for the record that is on its way.
    fn enqueue(&mut self, id: Option<RequestId>, request: Request) {
        match self.waiting.get_mut(request.key()) {
            Some(waiting) => waiting.push_back((id, request)),
            None => self.take_up(id, request),
        }
    }

    /// Handles a request about a share partition that has no record on its way.
    fn take_up(&mut self, id: Option<RequestId>, request: Request) {
        let none = Image::default();
        let image = self.image.as_deref().unwrap_or(&none);
        let entry = self.entries.get(request.key());
        match decide(&request, entry, image, &self.config, self.now.wall) {
            Decision::Answer(response) => {
                self.effects.extend(id.map(|id| Effect::Reply(id, response)));
            }
            Decision::Append(change, response) => {
                let key = request.key().clone();
                self.append(key, change, id.map(|id| (id, request, response)));
            }
        }
    }

    fn append(&mut self, key: Key, change: Change, then: Option<(RequestId, Request, Response)>) {
        self.last_append.0 += 1;
        let append = self.last_append;
        self.effects.push(Effect::Append(append, vec![record::encode(&key, &change)].into()));
        self.waiting.entry(key.clone()).or_default();
        self.in_flight.insert(append, InFlight { key, change, then, at: Offset::ZERO });
        self.schedule(Timer::Append(append), self.config.append_timeout);
    }

    fn appended(&mut self, append: AppendId, result: Result<(), AppendError>) {
        self.timers.cancel(&Timer::Append(append));
        let Some(InFlight { key, change, then, at }) = self.in_flight.remove(&append) else { return };
        match result {
            Ok(()) => {
                self.apply(key.clone(), change, at);
                self.effects.extend(then.map(|(id, _, response)| Effect::Reply(id, response)));
            }
            Err(error) => self.refuse(then.map(|(id, request, _)| (id, request)), error.into()),
        }
        let mut waiting = self.waiting.remove(&key).unwrap_or_default();
        while let Some((id, request)) = waiting.pop_front() {
            self.take_up(id, request);
            if let Some(begun) = self.waiting.get_mut(&key) {
                begun.append(&mut waiting);
                return;
            }
        }
    }

    /// Takes in a record that is durable at `at`.
    fn apply(&mut self, key: Key, change: Change, at: Offset) {
        self.end = at.plus(1);
        match change {
            Change::Forget => drop(self.entries.remove(&key)),
            Change::Snapshot(stored) => drop(self.entries.insert(key, Entry { stored, updates: 0, snapshot_at: at })),
            Change::Update(update) => {
                // Without its snapshot an update says too little to go on with.
                let Some(entry) = self.entries.get_mut(&key) else { return };
                entry.stored = entry.stored.updated(&update);
                entry.updates = entry.updates.saturating_add(1);
            }
        }
    }

    /// Forgets what is kept of topics that are no more. What the log tells of is older than this coordinator's term, so only
    /// the first image, which may be older still, can lack a topic that is yet to come.
    fn cluster_is(&mut self, image: Arc<Image>) {
        if self.image.replace(Arc::clone(&image)).is_none() {
            return;
        }
        let topics: BTreeSet<TopicId> = self.entries.keys().map(|key| key.topic).collect();
        let gone: BTreeSet<TopicId> = topics.into_iter().filter(|id| image.topics().by_id(*id).is_none()).collect();
        if gone.is_empty() {
            return;
        }
        let keys: Vec<Key> = self.entries.keys().filter(|key| gone.contains(&key.topic)).cloned().collect();
        for key in keys.into_iter().filter(|key| !self.waiting.contains_key(key)).collect::<Vec<_>>() {
            self.append(key, Change::Forget, None);
        }
    }

    fn alarm(&mut self, timer: Timer) {
        match timer {
            Timer::Append(append) => self.give_up_waiting(append),
            Timer::Snapshot => {
                self.snapshot_cold();
                self.schedule(Timer::Snapshot, self.config.cold_snapshot_interval);
            }
            Timer::Prune => {
                let needed = self.entries.values().map(|entry| entry.snapshot_at).min().unwrap_or(self.end);
                if needed > self.pruned {
                    self.pruned = needed;
                    self.effects.push(Effect::Prune(needed));
                }
                self.schedule(Timer::Prune, self.config.prune_interval);
            }
        }
    }

    /// The record may still become durable, so it stays on its way; only the answers go out.
    fn give_up_waiting(&mut self, append: AppendId) {
        let Some(in_flight) = self.in_flight.get_mut(&append) else { return };
        let then = in_flight.then.take().map(|(id, request, _)| (id, request));
        let waiting = self.waiting.get_mut(&in_flight.key).map(std::mem::take).unwrap_or_default();
        self.refuse(then, Error::CoordinatorNotAvailable);
        for (id, request) in waiting {
            self.refuse(id.map(|id| (id, request)), Error::CoordinatorNotAvailable);
        }
    }

    /// Writes share partitions anew that have long not changed, unless that is how all of them stand.
    fn snapshot_cold(&mut self) {
        if self.entries.values().all(|entry| entry.stored.created != entry.stored.written) {
            return;
        }
        let now = self.now.wall;
        let interval = i64::try_from(self.config.cold_snapshot_interval.as_millis()).unwrap_or(i64::MAX);
        let is_cold = |entry: &Entry| now.0.saturating_sub(entry.stored.written.0) >= interval;
        let cold = self.entries.iter().filter(|(key, entry)| is_cold(entry) && !self.waiting.contains_key(*key));
        let anew = |stored: &Stored| Stored {
            snapshot_epoch: stored.snapshot_epoch.saturating_add(1),
            written: now,
            ..stored.clone()
        };
        let cold: Vec<_> = cold.map(|(key, entry)| (key.clone(), anew(&entry.stored))).collect();
        for (key, stored) in cold {
            self.append(key, Change::Snapshot(stored), None);
        }
    }
}
