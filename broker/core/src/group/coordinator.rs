//! The machine itself: which rule handles which event.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::consumer::group::Change;
use super::consumer::{self, Refusal};
use super::context::{Context, Deletes, InFlight, Then, complete_join, complete_sync};
use super::event::{Effect, Event, Note, Request, Response};
use super::offset_store::OffsetStore;
use super::record::{GroupChange, OffsetChange, Record};
use super::state::Group;
use super::timers::Timer;
use super::transactions::Transactions;
use super::{Config, Error, admin, offsets, rebalance, sync};
use crate::controller::internal_topics::CONSUMER_OFFSETS;
use crate::coordinator::{AppendError, AppendId, Machine, RecordError, Replayed, RequestId};
use crate::metadata::{Image, Topics};
use crate::{Now, ProducerId, TopicName};

/// The groups and committed offsets of one `__consumer_offsets` partition.
///
/// Its life is that of a [`Machine`].
#[derive(Debug)]
pub struct Coordinator {
    /// Classic groups, and those that have committed offsets only.
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    pub(super) context: Context,
    /// Those of the consumer protocol; a group is in one of the two at most.
    pub(super) consumers: BTreeMap<Arc<str>, consumer::group::Group>,
    pub(super) offsets: OffsetStore,
    pub(super) transactions: Transactions,
}

impl Machine for Coordinator {
    const TOPIC: &'static str = CONSUMER_OFFSETS;
    type Config = Config;
    type Request = Request;
    type Response = Response;
    type Note = Note;
    type Act = Infallible;

    fn new(config: Config) -> Self {
        Self {
            groups: BTreeMap::new(),
            consumers: BTreeMap::new(),
            offsets: OffsetStore::default(),
            context: Context::new(config),
            transactions: Transactions::default(),
        }
    }

    fn replay(&mut self, replayed: Replayed<'_>) -> Result<(), RecordError> {
        let (key, value, transaction) = match replayed {
            Replayed::Record { key, value, transaction } => (key, value, transaction),
            Replayed::TransactionEnd { producer, commit } => {
                self.transaction_ended(producer, commit);
                return Ok(());
            }
        };
        match Record::decode(key, value)? {
            Some(Record::Offset(change)) => self.offset_stored(change, transaction),
            Some(Record::Group(GroupChange { group, value: Some(value) })) => {
                self.consumers.remove(&group);
                self.group_or_new(&group).restore(value);
            }
            Some(Record::Group(GroupChange { group, value: None })) => self.forget_group(&group),
            Some(Record::Consumer(record)) => self.replay_consumer(record),
            None => {}
        }
        Ok(())
    }

    fn start(&mut self, now: Now) -> Vec<Effect> {
        self.context.now = now;
        self.begin_sessions();
        for group in self.groups.values_mut() {
            if group.members().len() > self.context.config.max_size {
                // The limit was lowered. A rebalance lets the members commit before some are turned away.
                rebalance::prepare(group, &mut self.context);
            }
        }
        let interval = self.context.config.offsets_retention_check_interval;
        self.context.schedule(Timer::Retention, interval);
        self.context.take_effects()
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.context.timers.next()
    }

    fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        self.context.now = now;
        match event {
            Event::Request(id, request) => self.request(id, request),
            Event::Appended(id, result) => self.appended(id, result),
            Event::Note(Note::Stalled) => self.begin_sessions(),
            Event::Note(Note::TransactionEnded { producer, commit }) => self.transaction_ended(producer, commit),
            Event::Note(Note::Metadata(image)) => self.metadata_changed(image),
            Event::Tick => {
                while let Some(timer) = self.context.timers.pop_due(now.monotonic) {
                    self.alarm(timer);
                }
            }
        }
        self.context.take_effects()
    }

    fn unload(mut self) -> Vec<Effect> {
        for mut append in std::mem::take(&mut self.context.in_flight).into_values() {
            self.time_out(&mut append, Error::NotCoordinator);
        }
        for group in self.groups.values_mut() {
            let members: Vec<_> = group.members().map(|member| member.id.clone()).collect();
            for member in members {
                complete_join(group, &mut self.context, &member, Err(Error::NotCoordinator));
                complete_sync(group, &mut self.context, &member, Err(Error::NotCoordinator));
            }
        }
        self.context.take_effects()
    }

    fn stalled() -> Option<Note> {
        Some(Note::Stalled)
    }
}

impl Coordinator {
    /// Members of a generation have their whole session before them; new ones wait for theirs.
    fn begin_sessions(&mut self) {
        for group in self.groups.values() {
            for member in group.members().filter(|member| !member.is_new) {
                self.context.schedule_session(&group.id, &member.id, member.session_timeout);
            }
        }
        for group in self.consumers.values() {
            consumer::session::begin_all(&mut self.context, group);
        }
    }

    fn request(&mut self, id: RequestId, request: Request) {
        let response = match request {
            Request::Join(join) => return super::join::join(self, id, join),
            Request::Sync(request) => return sync::sync(self, id, request),
            Request::ConsumerHeartbeat(beat) => return consumer::heartbeat::heartbeat(self, id, beat),
            Request::Commit(commit) => return offsets::commit(self, id, commit),
            Request::FetchOffsets(fetch) => return offsets::fetch(self, id, fetch),
            Request::DeleteOffsets(delete) => return offsets::delete(self, id, delete),
            Request::Delete(group) => return admin::delete(self, id, &group),
            Request::Leave(leave) => return super::leave::leave(self, id, leave),
            Request::Heartbeat(heartbeat) => Response::Heartbeat(sync::heartbeat(self, &heartbeat)),
            Request::List(filter) => Response::List(admin::list(self, &filter)),
            Request::Describe(group) => Response::Describe(admin::describe(self, &group)),
            Request::DescribeConsumer(group) => Response::DescribeConsumer(admin::describe_consumer(self, &group)),
        };
        self.context.reply(id, response);
    }

    fn alarm(&mut self, timer: Timer) {
        match timer {
            Timer::Join(group) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    rebalance::join_time_is_over(group, &mut self.context);
                }
            }
            Timer::Sync(group) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    rebalance::sync_time_is_over(group, &mut self.context);
                }
            }
            Timer::Session(group, member) => match self.groups.get_mut(&group) {
                Some(group) => rebalance::session_is_over(group, &mut self.context, &member),
                None => consumer::session::is_over(self, &group, &member),
            },
            Timer::Revocation(group, member) | Timer::Rejoin(group, member) | Timer::Resync(group, member) => {
                consumer::session::is_over(self, &group, &member);
            }
            Timer::Append(id) => {
                // The records may still become durable, so they stay in flight; only the answers go out.
                if let Some(mut append) = self.context.in_flight.remove(&id) {
                    self.time_out(&mut append, Error::CoordinatorNotAvailable);
                    self.context.in_flight.insert(id, append);
                }
            }
            Timer::Retention => offsets::expire(self),
        }
    }

    fn appended(&mut self, id: AppendId, result: Result<(), AppendError>) {
        self.context.timers.cancel(&Timer::Append(id));
        let Some(append) = self.context.in_flight.remove(&id) else { return };
        match result {
            Ok(()) => {
                for change in append.offsets {
                    self.offset_stored(change, append.transaction);
                }
                self.drop_deleted(&append.group, append.deletes);
            }
            Err(error) if append.changes_consumers => {
                self.change_refused(id, &append.group, append.deletions, error);
            }
            Err(_) => {}
        }
        for (request, response) in append.answers {
            let told = match result {
                Ok(()) => response,
                Err(error) => response.refused(error.for_group()),
            };
            self.context.reply(request, told);
        }
        self.finish(&append.group, append.then, result);
        for (request, fetch) in append.fetches {
            offsets::fetch(self, request, fetch);
        }
    }

    /// The log has refused changes of a group of the consumer protocol: they are written again with what comes next of
    /// the group. Whoever waits for a later append was promised these as well.
    fn change_refused(&mut self, id: AppendId, group: &Arc<str>, deletions: Vec<Record>, error: AppendError) {
        if !deletions.is_empty() || self.consumers.contains_key(group) {
            self.context.unwritten.entry(Arc::clone(group)).or_default().extend(deletions);
        }
        let later = self.context.in_flight.range_mut(id..).filter(|(_, append)| append.group == *group);
        let answers: Vec<_> = later.flat_map(|(_, append)| append.answers.drain(..)).collect();
        for (request, response) in answers {
            self.context.reply(request, response.refused(error.for_group()));
        }
        self.told_nothing(group);
    }

    /// Answers that would have told members of the group what has changed were refused.
    fn told_nothing(&mut self, group: &Arc<str>) {
        if let Some(group) = self.consumers.get(group) {
            consumer::session::begin_revocations_anew(&mut self.context, group);
        }
    }

    /// Does what waited for the append.
    fn finish(&mut self, group: &Arc<str>, then: Then, result: Result<(), AppendError>) {
        match then {
            Then::Nothing => {}
            Then::Commit(request, results) => {
                let response = result.map(|()| results).map_err(AppendError::for_commit);
                self.context.reply(request, Response::Commit(response));
            }
            Then::DeleteOffsets(request, results) => {
                let response = result.map(|()| results).map_err(AppendError::for_group);
                self.context.reply(request, Response::DeleteOffsets(response));
            }
            Then::Delete(request) => {
                self.context.reply(request, Response::Delete(result.map_err(AppendError::for_group)));
            }
            Then::Assign { generation, assignments } => {
                if let Some(group) = self.groups.get_mut(group) {
                    let result = result.map(|()| assignments).map_err(AppendError::for_group);
                    sync::assignment_stored(group, &mut self.context, generation, result);
                }
            }
            Then::Replace(replacement) => {
                if let Some(group) = self.groups.get_mut(group) {
                    let result = result.map_err(AppendError::for_group);
                    super::join::replacement_stored(group, &mut self.context, &replacement, result);
                }
            }
        }
    }

    /// Answers `error` to whoever waits for an append whose outcome is not known.
    fn time_out(&mut self, append: &mut InFlight, error: Error) {
        let failure = match error {
            Error::NotCoordinator => AppendError::NotLeader,
            _ => AppendError::NotEnoughReplicas,
        };
        let then = std::mem::replace(&mut append.then, Then::Nothing);
        self.finish(&append.group, then, Err(failure));
        if !append.answers.is_empty() {
            self.told_nothing(&append.group);
        }
        for (request, response) in append.answers.drain(..) {
            self.context.reply(request, response.refused(error));
        }
        for (request, _) in append.fetches.drain(..) {
            self.context.reply(request, Response::FetchOffsets(Err(error)));
        }
    }

    pub(super) fn group_or_new(&mut self, id: &Arc<str>) -> &mut Group {
        let now = self.context.now.wall;
        self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone(), now))
    }

    /// A change is durable: it counts at once, or when its transaction is committed.
    fn offset_stored(&mut self, change: OffsetChange, transaction: Option<ProducerId>) {
        match transaction {
            None => {
                self.transactions.superseded_by(&change);
                self.apply_offset(change);
            }
            Some(producer) => self.transactions.add(producer, change),
        }
    }

    fn transaction_ended(&mut self, producer: ProducerId, commit: bool) {
        for change in self.transactions.end(producer, commit) {
            self.apply_offset(change);
        }
    }

    /// Applies a durable change; the first offset of an unknown group makes a simple group.
    fn apply_offset(&mut self, change: OffsetChange) {
        if change.value.is_some() && !self.consumers.contains_key(&change.group) {
            self.group_or_new(&change.group);
        }
        self.offsets.apply(change);
    }

    /// Applies a stored change of a group of the consumer protocol.
    fn replay_consumer(&mut self, consumer::Record { group, change }: consumer::Record) {
        match change {
            Change::Epoch(None) => {
                self.consumers.remove(&group);
                self.keep_offsets_of(&group);
            }
            change if change.is_deletion() => {
                if let Some(group) = self.consumers.get_mut(&group) {
                    group.apply(change);
                }
            }
            change => {
                if matches!(change, Change::Epoch(_)) {
                    self.groups.remove(&group);
                }
                let new = || consumer::group::Group::new(Arc::clone(&group));
                self.consumers.entry(Arc::clone(&group)).or_insert_with(new).apply(change);
            }
        }
    }

    /// The cluster is another: offsets of topics that are gone go, groups that subscribe to what has changed look again.
    fn metadata_changed(&mut self, image: Arc<Image>) {
        let before = std::mem::replace(&mut self.context.image, image);
        let (before, after) = (before.topics(), self.context.image.topics());
        consumer::topics::mark_stale(self.consumers.values_mut(), before, after);
        let deleted: Vec<TopicName> = Topics::differences(before, after)
            .filter(|(_, after)| after.is_none())
            .filter_map(|(before, _)| Some(before?.name.clone()))
            .collect();
        if !deleted.is_empty() {
            offsets::topics_deleted(self, &deleted);
        }
    }

    /// A stored group was deleted, or changed its protocol. Its offsets have deletions of their own, also those that wait
    /// for the end of a transaction: of what the group was, a compacted log may not tell any more.
    fn forget_group(&mut self, id: &Arc<str>) {
        self.groups.remove(id);
        self.keep_offsets_of(id);
    }

    /// Offsets without a group are those of a simple consumer.
    fn keep_offsets_of(&mut self, id: &Arc<str>) {
        if self.offsets.of(id).is_some() && !self.consumers.contains_key(id) {
            self.group_or_new(id);
        }
    }

    /// The deletion of a group is durable. Whoever joined it meanwhile has it anew.
    fn drop_deleted(&mut self, id: &Arc<str>, deletes: Deletes) {
        if deletes.classic && self.groups.get(id).is_some_and(Group::is_deserted) {
            self.forget_group(id);
        }
        let is_deserted = self.consumers.get(id).is_some_and(consumer::group::Group::is_empty);
        if deletes.consumer && is_deserted && self.context.last_change_in_flight(id).is_none() {
            self.consumers.remove(id);
            self.keep_offsets_of(id);
        }
    }

    /// The group of the consumer protocol called `id`.
    pub(super) fn consumer_group(&self, id: &str) -> Result<&consumer::group::Group, Refusal> {
        let message = match self.groups.get(id) {
            Some(_) => format!("Group {id} is not a consumer group."),
            None => format!("Consumer group {id} not found."),
        };
        self.consumers.get(id).ok_or_else(|| Refusal::new(Error::GroupIdNotFound, message))
    }
}
