//! What every rule needs besides the group it works on: time, settings, alarms, and the way out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::consumer::group::Change;
use super::event::{Effect, Response};
use super::record::{OffsetChange, Record};
use super::request::{FetchOffsets, Joined, PartitionResults, Synced};
use super::share::calls::Calls;
use super::share::{self, StateCall, Told};
use super::state::Group;
use super::streams;
use super::timers::Timer;
use super::{Config, Error};
use crate::coordinator::{AppendId, EncodedRecord, InTransaction, NewBatch, RequestId, Timers};
use crate::metadata::Image;
use crate::{Now, ProducerId, Timestamp};

/// The most bytes of keys and values that one append of a group's records has. The log refuses batches over
/// `max.message.bytes`, 1 MiB by default, for good; this leaves room for what a batch adds.
const MAX_APPEND: usize = 768 << 10;

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
    /// The share group.
    pub(super) share: bool,
    /// The streams group.
    pub(super) streams: bool,
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
    /// It changes a group that is not a classic one, and that was changed before.
    pub(super) follows_memory: bool,
    /// Its records that delete something else than offsets.
    pub(super) deletions: Vec<Record>,
    pub(super) then: Then,
    /// Offset fetches that want to see these offsets.
    pub(super) fetches: Vec<(RequestId, FetchOffsets)>,
    /// Answers that tell what is true once this is durable.
    pub(super) answers: Vec<(RequestId, Response)>,
    /// Calls of the share coordinators that are made once this is durable.
    pub(super) calls: Vec<StateCall>,
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
    /// The groups that are not classic ones of which the log refused records, with the deletions among them. The next
    /// record of such a group comes after these, and after the whole group where it is still one of that kind.
    pub(super) unwritten: BTreeMap<Arc<str>, Vec<Record>>,
    pub(super) calls: Calls,
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
            unwritten: BTreeMap::new(),
            calls: Calls::default(),
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
        self.write_refused_deletions(group, &records);
        let encoded = records.iter().map(Record::encode).collect();
        self.send(transaction, group, records, encoded, then);
    }

    /// Sends what the log refused to delete of the group, before `records` unless those are offsets alone.
    fn write_refused_deletions(&mut self, group: &Arc<str>, records: &[Record]) {
        if records.iter().all(|record| matches!(record, Record::Offset(_))) {
            return;
        }
        let deletions = self.unwritten.remove(group).unwrap_or_default();
        for (records, encoded) in pieces(deletions) {
            self.send(None, group, records, encoded, Then::Nothing);
        }
    }

    fn send(
        &mut self,
        transaction: Option<InTransaction>,
        group: &Arc<str>,
        records: Vec<Record>,
        encoded: Vec<EncodedRecord>,
        then: Then,
    ) -> AppendId {
        self.next_append.0 += 1;
        let id = self.next_append;
        self.effects.push(Effect::Append(id, NewBatch { records: encoded, transaction }));
        let mut in_flight = InFlight {
            group: group.clone(),
            offsets: Vec::new(),
            transaction: transaction.map(|transaction| transaction.producer.id),
            deletes: Deletes::default(),
            follows_memory: false,
            deletions: Vec::new(),
            then,
            fetches: Vec::new(),
            answers: Vec::new(),
            calls: Vec::new(),
        };
        for record in records {
            match record {
                Record::Offset(change) => in_flight.offsets.push(change),
                Record::Group(change) => {
                    in_flight.deletes.classic = change.value.is_none();
                    in_flight.deletions.extend(change.value.is_none().then_some(Record::Group(change)));
                }
                // These were applied before they were sent.
                Record::Consumer(record) => {
                    in_flight.follows_memory = true;
                    if let Change::Epoch(value) = &record.change {
                        in_flight.deletes.consumer = value.is_none();
                    }
                    in_flight.deletions.extend(record.change.is_deletion().then_some(Record::Consumer(record)));
                }
                Record::Share(record) => {
                    in_flight.follows_memory = true;
                    if let share::group::Change::Epoch(value) = &record.change {
                        in_flight.deletes.share = value.is_none();
                    }
                    in_flight.deletions.extend(record.change.is_deletion().then_some(Record::Share(record)));
                }
                Record::Streams(record) => {
                    in_flight.follows_memory = true;
                    if let streams::group::Change::Epoch(value) = &record.change {
                        in_flight.deletes.streams = value.is_none();
                    }
                    in_flight.deletions.extend(record.change.is_deletion().then_some(Record::Streams(record)));
                }
            }
        }
        self.in_flight.insert(id, in_flight);
        let timeout = self.config.append_timeout;
        self.schedule(Timer::Append(id), timeout);
        id
    }

    /// Adds to `records` what the log refused of a group whose changes were made in memory: the deletions, and then the
    /// group as it is, which `snapshot` gives.
    pub(super) fn write_refused<R: Iterator<Item = Record>>(
        &mut self,
        group: &Arc<str>,
        records: &mut Vec<Record>,
        snapshot: impl FnOnce() -> R,
    ) {
        let Some(mut deletions) = self.unwritten.remove(group) else { return };
        // What was deleted and is there again is in the snapshot, and the group is there.
        deletions.retain(|record| !record.ends_group());
        records.extend(deletions);
        records.extend(snapshot());
    }

    /// Sends records of one group to the log, if there are any, in as many appends as it takes; `answers` are given when
    /// they are durable, and all that was changed of the group before.
    pub(super) fn append_and_answer(
        &mut self,
        group: &Arc<str>,
        records: Vec<Record>,
        answers: impl IntoIterator<Item = (RequestId, Response)>,
    ) {
        let told = Told { answers: answers.into_iter().collect(), calls: Vec::new() };
        self.append_and_tell(group, records, told);
    }

    /// The same, and calls of the share coordinators are made then.
    pub(super) fn append_and_tell(&mut self, group: &Arc<str>, records: Vec<Record>, told: Told) {
        self.write_refused_deletions(group, &records);
        let mut last = None;
        for (records, encoded) in pieces(records) {
            last = Some(self.send(None, group, records, encoded, Then::Nothing));
        }
        let last = last.or_else(|| self.last_change_in_flight(group));
        let Some((id, append)) = last.and_then(|id| Some((id, self.in_flight.get_mut(&id)?))) else {
            return self.tell(told);
        };
        append.answers.extend(told.answers);
        append.calls.extend(told.calls);
        let timer = Timer::Append(id);
        if !append.answers.is_empty() && !self.timers.is_set(&timer) {
            // The append is overdue already; the answers have their own time to wait.
            let timeout = self.config.append_timeout;
            self.schedule(timer, timeout);
        }
    }

    /// Gives answers and makes calls.
    pub(super) fn tell(&mut self, told: Told) {
        told.answers.into_iter().for_each(|(request, response)| self.reply(request, response));
        self.effects.extend(told.calls.into_iter().map(Effect::Act));
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

    /// The newest append on its way that changes `group` after memory was changed; offsets do not.
    pub(super) fn last_change_in_flight(&self, group: &str) -> Option<AppendId> {
        let changes = |append: &InFlight| *append.group == *group && append.follows_memory;
        self.in_flight.iter().rev().find(|(_, append)| changes(append)).map(|(id, _)| *id)
    }

    /// Whether anything of `group` is on its way to the log.
    pub(super) fn has_in_flight(&self, group: &str) -> bool {
        self.in_flight.values().any(|append| *append.group == *group)
    }
}

/// Records, cut in their order into appends of at most [`MAX_APPEND`] bytes. What members may say is bounded at the door;
/// only the share of one that has tens of thousands of topics may be more, and goes alone.
fn pieces(records: Vec<Record>) -> Vec<(Vec<Record>, Vec<EncodedRecord>)> {
    let mut pieces: Vec<(Vec<Record>, Vec<EncodedRecord>)> = Vec::new();
    let mut size = 0;
    for record in records {
        let encoded = record.encode();
        let added = encoded.key.len() + encoded.value.as_ref().map_or(0, Bytes::len);
        size += added;
        match pieces.last_mut().filter(|_| size <= MAX_APPEND) {
            Some((records, all_encoded)) => {
                records.push(record);
                all_encoded.push(encoded);
            }
            None => {
                size = added;
                pieces.push((vec![record], vec![encoded]));
            }
        }
    }
    pieces
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
