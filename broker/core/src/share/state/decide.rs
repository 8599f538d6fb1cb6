//! What a request comes to, given what is kept: an answer, or a record and the answer once it is durable.

use super::coordinator::Entry;
use super::event::{Request, Response, Write};
use super::stored::{Change, Stored, Update};
use super::{Config, Error};
use crate::coordinator::MAX_STRING;
use crate::metadata::Image;
use crate::share::{Key, combine};
use crate::{LeaderEpoch, Offset, StateEpoch, Timestamp};

/// What is to be done for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Answer it.
    Answer(Response),
    /// Append this, then answer it.
    Append(Change, Response),
}

/// Decides `request` for what is kept of its share partition, if anything is.
pub(super) fn decide(
    request: &Request,
    entry: Option<&Entry>,
    image: &Image,
    config: &Config,
    now: Timestamp,
) -> Decision {
    let decided = check_key(request.key()).and_then(|()| match request {
        Request::Initialize { key, state_epoch, start } => {
            check_state_epoch(*state_epoch, entry)?;
            check_topic(key, image)?;
            Ok(Decision::Append(initialize(*state_epoch, *start, entry, now), Response::Done(Ok(()))))
        }
        Request::Write(key, write) => {
            let entry = entry.ok_or(Error::WriteUninitialized)?;
            check_leader_epoch(write.leader_epoch, entry)?;
            check_state_epoch(write.state_epoch, Some(entry))?;
            check_topic(key, image)?;
            Ok(Decision::Append(change(write, entry, entry.stored.leader_epoch, config, now), Response::Done(Ok(()))))
        }
        Request::Read(key, leader_epoch) => {
            let entry = entry.ok_or(Error::ReadUninitialized)?;
            check_leader_epoch(*leader_epoch, entry)?;
            check_topic(key, image)?;
            Ok(read(*leader_epoch, entry, config, now))
        }
        Request::Summarize(key) => {
            check_topic(key, image)?;
            let summary = entry.map(|entry| entry.stored.summary()).unwrap_or_default();
            Ok(Decision::Answer(Response::Summary(Ok(summary))))
        }
        Request::Delete(key) => {
            check_topic(key, image)?;
            let done = Response::Done(Ok(()));
            Ok(if entry.is_some() { Decision::Append(Change::Forget, done) } else { Decision::Answer(done) })
        }
    });
    decided.unwrap_or_else(|error| Decision::Answer(request.refused(error)))
}

fn check_key(key: &Key) -> Result<(), Error> {
    if key.partition < 0 {
        return Err(Error::NegativePartition);
    }
    if key.group.len() > MAX_STRING { Err(Error::GroupIdTooLong) } else { Ok(()) }
}

fn check_topic(key: &Key, image: &Image) -> Result<(), Error> {
    let topic = image.topics().by_id(key.topic);
    let is_there = topic.is_some_and(|topic| topic.partition(key.partition).is_some());
    if is_there { Ok(()) } else { Err(Error::UnknownTopicOrPartition) }
}

fn check_leader_epoch(given: LeaderEpoch, entry: &Entry) -> Result<(), Error> {
    let is_fenced = given != LeaderEpoch::NONE && given < entry.stored.leader_epoch;
    if is_fenced { Err(Error::FencedLeaderEpoch) } else { Ok(()) }
}

fn check_state_epoch(given: StateEpoch, entry: Option<&Entry>) -> Result<(), Error> {
    let is_fenced = given != StateEpoch::NONE && entry.is_some_and(|entry| given < entry.stored.state_epoch);
    if is_fenced { Err(Error::FencedStateEpoch) } else { Ok(()) }
}

/// A beginning; the leaders that were fenced before stay so.
fn initialize(state_epoch: StateEpoch, start: Option<Offset>, entry: Option<&Entry>, now: Timestamp) -> Change {
    Change::Snapshot(Stored {
        snapshot_epoch: entry.map_or(0, |entry| entry.stored.snapshot_epoch.saturating_add(1)),
        state_epoch,
        leader_epoch: entry.map_or(LeaderEpoch(0), |entry| entry.stored.leader_epoch),
        start,
        complete: start.map(|_| 0),
        batches: Vec::new(),
        created: now,
        written: now,
    })
}

/// The record of what a leader has written: the change alone, or now and then all with it.
fn change(write: &Write, entry: &Entry, leader_epoch: LeaderEpoch, config: &Config, now: Timestamp) -> Change {
    let stored = &entry.stored;
    if entry.updates < config.updates_per_snapshot {
        return Change::Update(Update {
            snapshot_epoch: stored.snapshot_epoch,
            leader_epoch,
            start: write.start,
            complete: write.complete,
            batches: combine(write.batches.iter().copied(), write.start.unwrap_or(Offset::ZERO)),
        });
    }
    let start = write.start.or(stored.start);
    Change::Snapshot(Stored {
        snapshot_epoch: stored.snapshot_epoch.saturating_add(1),
        state_epoch: stored.state_epoch,
        leader_epoch,
        start,
        complete: write.complete,
        batches: stored.with(&write.batches, start),
        created: now,
        written: now,
    })
}

/// What is kept; a leader of a later epoch than all before it is stored first.
fn read(leader_epoch: LeaderEpoch, entry: &Entry, config: &Config, now: Timestamp) -> Decision {
    let stored = &entry.stored;
    let response = Response::State(Ok(stored.state()));
    if leader_epoch == LeaderEpoch::NONE || leader_epoch == stored.leader_epoch {
        return Decision::Answer(response);
    }
    let write = Write {
        state_epoch: stored.state_epoch,
        leader_epoch,
        start: stored.start,
        complete: stored.complete,
        batches: Vec::new(),
    };
    Decision::Append(change(&write, entry, leader_epoch, config, now), response)
}
