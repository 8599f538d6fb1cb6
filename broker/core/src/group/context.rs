//! What every rule needs besides the group it works on: time, settings, alarms, and the way out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::consumer::group::Change;
use super::event::{Effect, Response};
use super::record::{OffsetChange, Record};
use super::request::{FetchOffsets, Joined, PartitionResults, Synced};
use super::state::Group;
use super::timers::Timer;
use super::{Config, Error};
use crate::coordinator::{AppendId, InTransaction, NewBatch, RequestId, Timers};
use crate::metadata::Image;
use crate::{Now, ProducerId, Timestamp};

/// What is to be done once an append is durable, or has failed.
#[derive(Debug)]
pub(super) enum Then {
    /// Nobody waits.
    Nothing,
    /// Answer an OffsetCommit.
    Commit(RequestId, PartitionResults),
    /// Answer an OffsetDelete.
    DeleteOffsets(RequestId, PartitionResults),
    /// Hand out the assignment of this generation.
    Assign { generation: i32, assignments: HashMap<Arc<str>, Bytes> },
    /// Answer the join of the static member that took another one's place.
    Replace(Replacement),
    /// Answer a DeleteGroups.
    Delete(RequestId),
}

/// A static member that took another one's place without a rebalance.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) member_id: Arc<str>,
    /// The leader as it was before.
    pub(super) former_leader: Option<Arc<str>>,
    /// The client understands `skip_assignment`.
    pub(super) skips_assignment: bool,
}

/// What is deleted once an append is durable.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deletes {
    /// The classic group.
    pub(super) classic: bool,
    /// The group of the consumer protocol.
    pub(super) consumer: bool,
}

/// An append that is on its way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) group: Arc<str>,
    /// Visible once durable, in the order of the log.
    pub(super) offsets: Vec<OffsetChange>,
    /// The producer of the transaction that the offsets wait for.
    pub(super) transaction: Option<ProducerId>,
    pub(super) deletes: Deletes,
    /// It changes a group of the consumer protocol; what it deletes of one.
    pub(super) consumer_deletions: Option<Vec<Change>>,
    pub(super) then: Then,
    /// Offset fetches that want to see these offsets.
    pub(super) fetches: Vec<(RequestId, FetchOffsets)>,
    /// Answers that tell what is true once this is durable.
    pub(super) answers: Vec<(RequestId, Response)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) now: Now,
    /// The cluster as it was told last.
    pub(super) image: Arc<Image>,
    pub(super) timers: Timers<Timer>,
    pub(super) in_flight: BTreeMap<AppendId, InFlight>,
    next_append: AppendId,
    effects: Vec<Effect>,
}

impl Context {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            now: Now { monotonic: Duration::ZERO, wall: Timestamp::NONE },
            image: Arc::default(),
            timers: Timers::default(),
            in_flight: BTreeMap::new(),
            next_append: AppendId::default(),
            effects: Vec::new(),
        }
    }

    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn reply(&mut self, request: RequestId, response: Response) {
        self.effects.push(Effect::Reply(request, response));
    }

    pub(super) fn reply_join_error(&mut self, request: RequestId, member_id: &str, error: Error) {
        self.reply(request, Response::Join(Joined { member_id: member_id.to_owned(), result: Err(error) }));
    }

    /// Sets an alarm `after` from now.
    pub(super) fn schedule(&mut self, timer: Timer, after: Duration) {
        self.timers.schedule(timer, self.now.monotonic.saturating_add(after));
    }

    pub(super) fn schedule_session(&mut self, group: &Arc<str>, member: &Arc<str>, timeout: Duration) {
        self.schedule(Timer::Session(group.clone(), member.clone()), timeout);
    }

    pub(super) fn cancel_session(&mut self, group: &Arc<str>, member: &Arc<str>) {
        self.timers.cancel(&Timer::Session(group.clone(), member.clone()));
    }

    /// Sends records of one group to the log.
    pub(super) fn append(&mut self, group: &Arc<str>, records: Vec<Record>, then: Then) {
        self.append_in(None, group, records, then);
    }

    /// The same as part of a transaction.
    pub(super) fn append_in(
        &mut self,
        transaction: Option<InTransaction>,
        group: &Arc<str>,
        records: Vec<Record>,
        then: Then,
    ) {
        self.next_append.0 += 1;
        let id = self.next_append;
        let encoded = records.iter().map(Record::encode).collect();
        self.effects.push(Effect::Append(id, NewBatch { records: encoded, transaction }));
        let mut in_flight = InFlight {
            group: group.clone(),
            offsets: Vec::new(),
            transaction: transaction.map(|transaction| transaction.producer.id),
            deletes: Deletes::default(),
            consumer_deletions: None,
            then,
            fetches: Vec::new(),
            answers: Vec::new(),
        };
        for record in records {
            match record {
                Record::Offset(change) => in_flight.offsets.push(change),
                Record::Group(change) => in_flight.deletes.classic = change.value.is_none(),
                // These were applied before they were sent.
                Record::Consumer(record) => {
                    let deletions = in_flight.consumer_deletions.get_or_insert_default();
                    if let Change::Epoch(value) = &record.change {
                        in_flight.deletes.consumer = value.is_none();
                    }
                    if record.change.is_deletion() {
                        deletions.push(record.change);
                    }
                }
            }
        }
        self.in_flight.insert(id, in_flight);
        let timeout = self.config.append_timeout;
        self.schedule(Timer::Append(id), timeout);
    }

    /// Sends records of one group to the log, if there are any; `answers` are given when they are durable, and all that
    /// was sent for the group before.
    pub(super) fn append_and_answer(
        &mut self,
        group: &Arc<str>,
        records: Vec<Record>,
        answers: impl IntoIterator<Item = (RequestId, Response)>,
    ) {
        if !records.is_empty() {
            self.append(group, records, Then::Nothing);
        }
        let last = self.in_flight.iter_mut().rev().find(|(_, append)| append.group == *group);
        let Some((id, append)) = last else {
            return answers.into_iter().for_each(|(request, response)| self.reply(request, response));
        };
        append.answers.extend(answers);
        let timer = Timer::Append(*id);
        if !append.answers.is_empty() && !self.timers.is_set(&timer) {
            // The append is overdue already; the answers have their own time to wait.
            let timeout = self.config.append_timeout;
            self.schedule(timer, timeout);
        }
    }

    /// Lets a fetch wait for the offsets of its group that are not durable yet; gives it back if there are none.
    pub(super) fn park_fetch(&mut self, request: RequestId, fetch: FetchOffsets) -> Option<FetchOffsets> {
        let is_awaited = |append: &InFlight| *append.group == *fetch.group && !append.offsets.is_empty();
        let last = self.in_flight.iter_mut().rev().find(|(_, append)| is_awaited(append));
        let Some((id, append)) = last else { return Some(fetch) };
        append.fetches.push((request, fetch));
        let timer = Timer::Append(*id);
        if !self.timers.is_set(&timer) {
            // The append is overdue already; the fetch has its own time to wait.
            let timeout = self.config.append_timeout;
            self.schedule(timer, timeout);
        }
        None
    }

    /// Whether anything of `group` is on its way to the log.
    pub(super) fn has_in_flight(&self, group: &str) -> bool {
        self.in_flight.values().any(|append| *append.group == *group)
    }
}

/// Answers the parked join of a member, if there is one.
pub(super) fn complete_join(group: &mut Group, context: &mut Context, member_id: &str, result: Result<(), Error>) {
    let Some(request) = group.member_mut(member_id).and_then(|member| member.join.take()) else { return };
    let result = result.map(|()| group.joined_generation(member_id));
    context.reply(request, Response::Join(Joined { member_id: member_id.to_owned(), result }));
}

/// Answers the parked sync of a member, if there is one; its session begins anew.
pub(super) fn complete_sync(group: &mut Group, context: &mut Context, member_id: &str, result: Result<(), Error>) {
    let synced = result.map(|()| group.member(member_id).map(|m| m.assignment.clone()).unwrap_or_default());
    let (protocol_type, protocol) = (group.protocol_type.clone(), group.protocol.clone());
    let id = group.id.clone();
    let Some(member) = group.member_mut(member_id) else { return };
    let Some(request) = member.sync.take() else { return };
    let response = synced.map(|assignment| Synced { protocol_type, protocol, assignment });
    context.schedule_session(&id, &member.id, member.session_timeout);
    context.reply(request, Response::Sync(response));
}
