//! The machine itself: which rule handles which event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::consumer;
use super::context::{Context, Deletes, InFlight, Then, complete_join, complete_sync};
use super::event::{Effect, Event, Note, Request, Response};
use super::offset_store::OffsetStore;
use super::record::Record;
use super::share::{StateCall, Told};
use super::state::Group;
use super::timers::Timer;
use super::transactions::Transactions;
use super::{Config, Error, admin, counts, offsets, rebalance, replay, share, streams, sync};
use crate::controller::internal_topics::CONSUMER_OFFSETS;
use crate::coordinator::{AppendError, AppendId, Machine, RecordError, Replayed, RequestId};
use crate::metadata::{Image, Topics};
use crate::{Now, TopicId, TopicName};

/// The groups and committed offsets of one `__consumer_offsets` partition.
///
/// Its life is that of a [`Machine`].
#[derive(Debug)]
pub struct Coordinator {
    /// Classic groups, and those that have committed offsets only.
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    pub(super) context: Context,
    /// Those of the consumer protocol; a group is of one kind at most.
    pub(super) consumers: BTreeMap<Arc<str>, consumer::group::Group>,
    /// Share groups.
    pub(super) shares: BTreeMap<Arc<str>, share::group::Group>,
    /// Streams groups.
    pub(super) streams: BTreeMap<Arc<str>, streams::group::Group>,
    pub(super) offsets: OffsetStore,
    pub(super) transactions: Transactions,
}

impl Machine for Coordinator {
    const TOPIC: &'static str = CONSUMER_OFFSETS;
    type Config = Config;
    type Request = Request;
    type Response = Response;
    type Note = Note;
    type Act = StateCall;

    fn new(config: Config) -> Self {
        Self {
            groups: BTreeMap::new(),
            consumers: BTreeMap::new(),
            shares: BTreeMap::new(),
            streams: BTreeMap::new(),
            offsets: OffsetStore::default(),
            context: Context::new(config),
            transactions: Transactions::default(),
        }
    }

    fn replay(&mut self, replayed: Replayed<'_>) -> Result<(), RecordError> {
        replay::replay(self, replayed)
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
            Event::Note(Note::StatesAnswered(call, results)) => share::calls::answered(self, call, results),
            Event::Tick => {
                while let Some(timer) = self.context.timers.pop_due(now.monotonic) {
                    self.alarm(timer);
                }
            }
        }
        self.context.take_effects()
    }

    fn unload(mut self) -> Vec<Effect> {
        share::calls::refuse_all(&mut self.context, Error::NotCoordinator);
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
        for group in self.shares.values() {
            share::session::begin_all(&mut self.context, group);
        }
        for group in self.streams.values() {
            streams::session::begin_all(&mut self.context, group);
        }
    }

    fn request(&mut self, id: RequestId, request: Request) {
        let response = match request {
            Request::Join(join) => return super::join::join(self, id, join),
            Request::Sync(request) => return sync::sync(self, id, request),
            Request::ConsumerHeartbeat(beat) => return consumer::heartbeat::heartbeat(self, id, beat),
            Request::ShareHeartbeat(beat) => return share::heartbeat::heartbeat(self, id, &beat),
            Request::StreamsHeartbeat(beat) => return streams::heartbeat::heartbeat(self, id, &beat),
            Request::AlterShareOffsets(alter) => return share::offsets::alter(self, id, alter),
            Request::DeleteShareOffsets(delete) => return share::offsets::delete(self, id, delete),
            Request::Commit(commit) => return offsets::commit(self, id, commit),
            Request::FetchOffsets(fetch) => return offsets::fetch(self, id, fetch),
            Request::DeleteOffsets(delete) => return offsets::delete(self, id, delete),
            Request::Delete(group) => return admin::delete(self, id, &group),
            Request::Leave(leave) => return super::leave::leave(self, id, leave),
            Request::Heartbeat(heartbeat) => Response::Heartbeat(sync::heartbeat(self, &heartbeat)),
            Request::List(filter) => Response::List(admin::list(self, &filter)),
            Request::Count => Response::Count(counts::count(self)),
            Request::Describe(group) => Response::Describe(admin::describe(self, &group)),
            Request::DescribeShare(group) => Response::DescribeShare(admin::describe_share(self, &group)),
            Request::SharePartitions(group) => Response::SharePartitions(
                self.shares.get(group.as_str()).map(|group| group.states.initialized.clone()).unwrap_or_default(),
            ),
            Request::DescribeStreams(group) => Response::DescribeStreams(admin::describe_streams(self, &group)),
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
            Timer::Session(group, member) => self.session_is_over(&group, &member),
            Timer::Revocation(group, member) | Timer::Rejoin(group, member) | Timer::Resync(group, member) => {
                self.member_is_late(&group, &member);
            }
            Timer::Assign(group) => streams::session::assign(self, &group),
            Timer::Assignment(group) => {
                consumer::session::assign(self, &group);
                share::session::assign(self, &group);
                streams::session::assign(self, &group);
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

    fn session_is_over(&mut self, group: &Arc<str>, member: &Arc<str>) {
        if let Some(group) = self.groups.get_mut(group) {
            rebalance::session_is_over(group, &mut self.context, member);
        } else if self.shares.contains_key(group) {
            share::session::remove(self, group, member, Told::default());
        } else {
            self.member_is_late(group, member);
        }
    }

    /// A member of a group of the consumer protocol or of a streams group is given up.
    fn member_is_late(&mut self, group: &Arc<str>, member: &Arc<str>) {
        if self.streams.contains_key(group) {
            streams::session::remove(self, group, member, None);
        } else {
            consumer::session::is_over(self, group, member);
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
            Err(error) if append.follows_memory => {
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
        match result {
            Ok(()) => self.context.tell(Told { answers: Vec::new(), calls: append.calls }),
            Err(error) => self.drop_calls(append.calls, error),
        }
        self.finish(&append.group, append.then, result);
        for (request, fetch) in append.fetches {
            offsets::fetch(self, request, fetch);
        }
    }

    fn drop_calls(&mut self, calls: Vec<StateCall>, error: AppendError) {
        calls.into_iter().for_each(|call| share::calls::drop_call(&mut self.context, call.id, error.for_group()));
    }

    /// The log has refused changes of a group that were made in memory: they are written again with what comes next of
    /// the group. Whoever waits for a later append was promised these as well.
    fn change_refused(&mut self, id: AppendId, group: &Arc<str>, deletions: Vec<Record>, error: AppendError) {
        if !deletions.is_empty() || !self.groups.contains_key(group) && self.has_group(group) {
            self.context.unwritten.entry(Arc::clone(group)).or_default().extend(deletions);
        }
        let later = self.context.in_flight.range_mut(id..).filter(|(_, append)| append.group == *group);
        let (mut answers, mut calls) = (Vec::new(), Vec::new());
        for (_, append) in later {
            answers.append(&mut append.answers);
            calls.append(&mut append.calls);
        }
        self.drop_calls(calls, error);
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
        if let Some(group) = self.streams.get(group) {
            streams::session::begin_revocations_anew(&mut self.context, group);
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
        append.calls.iter().for_each(|call| share::calls::time_out(&mut self.context, call.id, error));
        for (request, _) in append.fetches.drain(..) {
            self.context.reply(request, Response::FetchOffsets(Err(error)));
        }
    }

    pub(super) fn group_or_new(&mut self, id: &Arc<str>) -> &mut Group {
        let now = self.context.now.wall;
        self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone(), now))
    }

    /// The cluster is another: offsets of topics that are gone go, groups that subscribe to what has changed look again.
    fn metadata_changed(&mut self, image: Arc<Image>) {
        let before = std::mem::replace(&mut self.context.image, image);
        let (before, after) = (before.topics(), self.context.image.topics());
        consumer::topics::mark_stale(self.consumers.values_mut(), before, after);
        share::group::mark_stale(self.shares.values_mut(), before, after);
        streams::group::mark_stale(self.streams.values_mut(), before, after);
        let gone = Topics::differences(before, after).filter(|(_, after)| after.is_none());
        let (names, ids): (Vec<TopicName>, Vec<TopicId>) =
            gone.filter_map(|(before, _)| Some((before?.name.clone(), before?.id))).unzip();
        if !names.is_empty() {
            offsets::topics_deleted(self, &names);
            share::offsets::topics_deleted(self, &ids);
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
        let is_deserted = self.shares.get(id).is_some_and(share::group::Group::is_empty);
        if deletes.share && is_deserted && self.context.last_change_in_flight(id).is_none() {
            self.shares.remove(id);
        }
        let is_deserted = self.streams.get(id).is_some_and(streams::group::Group::is_empty);
        if deletes.streams && is_deserted && self.context.last_change_in_flight(id).is_none() {
            self.streams.remove(id);
            self.keep_offsets_of(id);
        }
    }
}
