//! The machine itself: which rule handles which event, and what follows once a record is durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::event::{Act, Effect, Event, Note, Request, Response};
use super::request::InitProducerId;
use super::transaction::Transaction;
use super::{Config, Error, TransactionState, complete, end, init, partitions, record, report};
use crate::Producer;
use crate::controller::internal_topics::TRANSACTION_STATE;
use crate::coordinator::{AppendError, AppendId, Machine, RecordError, Replayed, RequestId, Timers};
use crate::{Now, ProducerId, Timestamp};

/// How long a step that nobody asked for rests after it could not be stored.
const RETRY: Duration = Duration::from_millis(500);

/// What an alarm is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// The transaction has been open for too long, or could not be aborted then.
    Abort(Arc<str>),
    /// The end of a transaction whose markers are written could not be stored.
    Complete(Arc<str>),
    /// An answer no longer waits for an append.
    Append(AppendId),
    /// Unused transactional ids are looked for.
    Expire,
}

/// Who waits for a step.
#[derive(Debug)]
pub(super) enum Then {
    /// Nobody.
    Nothing,
    /// An InitProducerId, with the producer as it will be.
    Init(RequestId),
    /// An InitProducerId that has to come again, because it found a transaction that has to be aborted first.
    Abort(RequestId),
    /// An AddPartitionsToTxn.
    Add(RequestId),
    /// An EndTxn, with the producer as it will be once the transaction has ended.
    End(RequestId),
}

impl Then {
    /// The answer, once the step to `next` is stored or has failed.
    fn answer(self, next: Option<&Transaction>, result: Result<(), Error>) -> Option<(RequestId, Response)> {
        let of = |producer: fn(&Transaction) -> Producer| {
            // A step that forgets an id is never asked for.
            result.and_then(|()| next.map(producer).ok_or(Error::NotCoordinator))
        };
        match self {
            Self::Nothing => None,
            Self::Init(request) => Some((request, Response::Init(of(|next| next.producer)))),
            Self::Abort(request) => Some((request, Response::Init(result.and(Err(Error::ConcurrentTransactions))))),
            Self::Add(request) => Some((request, Response::Add(result))),
            Self::End(request) => Some((request, Response::End(of(Transaction::successor)))),
        }
    }
}

/// One transactional id.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it is stored, but for markers that have been written since.
    pub(super) current: Transaction,
    /// Whether a step is on its way to the log. There is one at a time.
    pub(super) is_pending: bool,
}

/// A step on its way to the log.
#[derive(Debug)]
struct InFlight {
    id: Arc<str>,
    /// None forgets the id.
    next: Option<Transaction>,
    then: Then,
}

/// The transactional ids of one `__transaction_state` partition.
///
/// Its life is that of a [`Machine`].
#[derive(Debug)]
pub struct Coordinator {
    pub(super) config: Config,
    pub(super) now: Now,
    pub(super) entries: BTreeMap<Arc<str>, Entry>,
    pub(super) timers: Timers<Timer>,
    in_flight: BTreeMap<AppendId, InFlight>,
    last_append: AppendId,
    /// A producer id that was allocated and is not used yet.
    spare_id: Option<ProducerId>,
    /// Requests that wait for one, in their order.
    waiting_for_id: Vec<(RequestId, Request)>,
    effects: Vec<Effect>,
}

impl Machine for Coordinator {
    const TOPIC: &'static str = TRANSACTION_STATE;
    type Config = Config;
    type Request = Request;
    type Response = Response;
    type Note = Note;
    type Act = Act;

    fn new(config: Config) -> Self {
        Self {
            config,
            now: Now { monotonic: Duration::ZERO, wall: Timestamp::NONE },
            entries: BTreeMap::new(),
            timers: Timers::default(),
            in_flight: BTreeMap::new(),
            last_append: AppendId::default(),
            spare_id: None,
            waiting_for_id: Vec::new(),
            effects: Vec::new(),
        }
    }

    fn replay(&mut self, replayed: Replayed<'_>) -> Result<(), RecordError> {
        let Replayed::Record { key, value, .. } = replayed else { return Ok(()) };
        match record::decode(key, value)? {
            Some((id, Some(current))) => drop(self.entries.insert(id, Entry { current, is_pending: false })),
            Some((id, None)) => drop(self.entries.remove(&id)),
            None => {}
        }
        Ok(())
    }

    fn start(&mut self, now: Now) -> Vec<Effect> {
        self.now = now;
        let ids: Vec<_> = self.entries.keys().cloned().collect();
        ids.iter().for_each(|id| self.settle(id));
        self.schedule(Timer::Expire, self.config.expiration_check_interval);
        self.take_effects()
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        self.now = now;
        match event {
            Event::Request(id, request) => self.request(id, request),
            Event::Appended(id, result) => self.appended(id, result),
            Event::Note(Note::ProducerId(id)) => self.producer_id(id),
            Event::Note(Note::MarkersWritten { transactional_id, producer, partitions }) => {
                complete::markers_written(self, &transactional_id, producer, &partitions);
            }
            Event::Tick => {
                while let Some(timer) = self.timers.pop_due(now.monotonic) {
                    self.alarm(timer);
                }
            }
        }
        self.take_effects()
    }

    fn unload(mut self) -> Vec<Effect> {
        for step in std::mem::take(&mut self.in_flight).into_values() {
            self.answer(step.then, step.next.as_ref(), Err(Error::NotCoordinator));
        }
        self.refuse_waiting(Error::NotCoordinator);
        self.take_effects()
    }
}

impl Coordinator {
    /// How many transactional ids are in each state, for metrics.
    pub fn ids_by_state(&self) -> impl Iterator<Item = (TransactionState, usize)> + '_ {
        let count = |state| self.entries.values().filter(|entry| entry.current.state == state).count();
        TransactionState::ALL.into_iter().map(move |state| (state, count(state)))
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn perform(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn reply(&mut self, request: RequestId, response: Response) {
        self.perform(Effect::Reply(request, response));
    }

    /// Sets an alarm `after` from now.
    pub(super) fn schedule(&mut self, timer: Timer, after: Duration) {
        self.timers.schedule(timer, self.now.monotonic.saturating_add(after));
    }

    fn request(&mut self, id: RequestId, request: Request) {
        let response = match request {
            Request::Init(request) => return init::init(self, id, request),
            Request::End(request) => return end::end(self, id, request),
            Request::Add(request) => return partitions::add(self, id, &request),
            Request::Verify(request) => Response::Verify(partitions::verify(self, request)),
            Request::Describe(id) => Response::Describe(report::describe(self, &id)),
            Request::List(filter) => Response::List(report::list(self, &filter)),
        };
        self.reply(id, response);
    }

    pub(super) fn reply_init(&mut self, request: RequestId, error: Error) {
        self.reply(request, Response::Init(Err(error)));
    }

    pub(super) fn reply_add(&mut self, request: RequestId, result: Result<(), Error>) {
        self.reply(request, Response::Add(result));
    }

    pub(super) fn reply_end(&mut self, request: RequestId, result: Result<Producer, Error>) {
        self.reply(request, Response::End(result));
    }

    /// An id that a new producer may have; none when the request has to wait for one.
    pub(super) fn fresh_id(&self) -> Option<ProducerId> {
        self.spare_id
    }

    /// The spare id is used now.
    pub(super) fn use_fresh_id(&mut self) {
        self.spare_id = None;
    }

    /// Handles the request again when there is a producer id.
    pub(super) fn wait_for_id(&mut self, id: RequestId, request: Request) {
        if self.waiting_for_id.is_empty() {
            self.perform(Effect::Act(Act::AllocateProducerId));
        }
        self.waiting_for_id.push((id, request));
    }

    fn producer_id(&mut self, id: Option<ProducerId>) {
        if id.is_none() {
            return self.refuse_waiting(Error::CoordinatorLoadInProgress);
        }
        self.spare_id = id;
        for (id, request) in std::mem::take(&mut self.waiting_for_id) {
            self.request(id, request);
        }
    }

    fn refuse_waiting(&mut self, error: Error) {
        for (id, request) in std::mem::take(&mut self.waiting_for_id) {
            match request {
                Request::End(_) => self.reply_end(id, Err(error)),
                // Nothing else waits for a producer id.
                _ => self.reply_init(id, error),
            }
        }
    }

    /// Sends the next step of a transactional id to the log; the id must have none on its way.
    pub(super) fn step(&mut self, id: &Arc<str>, next: Option<Transaction>, then: Then) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.is_pending = true;
        }
        self.last_append.0 += 1;
        let append = self.last_append;
        self.perform(Effect::Append(append, vec![record::encode(id, next.as_ref())].into()));
        self.in_flight.insert(append, InFlight { id: id.clone(), next, then });
        self.schedule(Timer::Append(append), self.config.append_timeout);
    }

    fn appended(&mut self, append: AppendId, result: Result<(), AppendError>) {
        self.timers.cancel(&Timer::Append(append));
        let Some(InFlight { id, next, then }) = self.in_flight.remove(&append) else { return };
        self.answer(then, next.as_ref(), result.map_err(Error::from));
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_pending = false;
        match (result, next) {
            (Ok(()), Some(next)) => {
                entry.current = next;
                self.settle(&id);
            }
            (Ok(()), None) => drop(self.entries.remove(&id)),
            (Err(_), next) => self.step_failed(&id, next.as_ref()),
        }
    }

    fn answer(&mut self, then: Then, next: Option<&Transaction>, result: Result<(), Error>) {
        if let Some((request, response)) = then.answer(next, result) {
            self.reply(request, response);
        }
    }

    /// The state of the id is stored: whatever it asks for is set going.
    fn settle(&mut self, id: &Arc<str>) {
        let Some(entry) = self.entries.get(id) else { return };
        match entry.current.state {
            TransactionState::Ongoing => {
                if !self.timers.is_set(&Timer::Abort(id.clone())) {
                    let after = complete::time_left(&entry.current, self.now);
                    self.schedule(Timer::Abort(id.clone()), after);
                }
            }
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                self.timers.cancel(&Timer::Abort(id.clone()));
                complete::go_on(self, id);
            }
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {}
        }
    }

    /// The step to `next` was not stored: what nobody will ask for again is tried again.
    fn step_failed(&mut self, id: &Arc<str>, next: Option<&Transaction>) {
        let Some(entry) = self.entries.get(id) else { return };
        if entry.current.is_new() {
            self.entries.remove(id);
        } else if entry.current.state.preparing().is_some() {
            self.schedule(Timer::Complete(id.clone()), RETRY);
        } else if next.is_some_and(|next| next.state == TransactionState::PrepareAbort) {
            // The time of the transaction may have run out meanwhile.
            if entry.current.state == TransactionState::Ongoing && !self.timers.is_set(&Timer::Abort(id.clone())) {
                self.schedule(Timer::Abort(id.clone()), RETRY);
            }
        }
    }

    fn alarm(&mut self, timer: Timer) {
        match timer {
            Timer::Abort(id) => {
                if self.entries.get(&id).is_some_and(|entry| entry.is_pending) {
                    self.schedule(Timer::Abort(id), RETRY);
                } else {
                    complete::abort_overdue(self, &id);
                }
            }
            Timer::Complete(id) => complete::go_on(self, &id),
            Timer::Append(append) => {
                // The record may still become durable, so the step stays on its way; only the answer goes out.
                if let Some(mut step) = self.in_flight.remove(&append) {
                    let then = std::mem::replace(&mut step.then, Then::Nothing);
                    self.answer(then, step.next.as_ref(), Err(Error::CoordinatorNotAvailable));
                    self.in_flight.insert(append, step);
                }
            }
            Timer::Expire => {
                complete::forget_unused(self);
                self.schedule(Timer::Expire, self.config.expiration_check_interval);
            }
        }
    }

    /// The entry of a request, or a new one for `init` with a producer id of its own.
    pub(super) fn entry_or_new(&mut self, init: &InitProducerId, id: ProducerId) -> Arc<str> {
        let key: Arc<str> = init.transactional_id.as_str().into();
        let current = Transaction::new(id, init.timeout, self.now.wall);
        self.entries.insert(key.clone(), Entry { current, is_pending: false });
        key
    }
}
