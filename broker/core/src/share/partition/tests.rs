//! What the machine gives out, writes and answers, step by step.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::coordinator::RequestId;
use crate::share::state::{State, Write};
use crate::share::{DeliveryState, StateBatch};
use crate::{LeaderEpoch, Now, Offset, StateEpoch, Timestamp};
use DeliveryState::{Acknowledged, Archived, Available};

const LEADER: LeaderEpoch = LeaderEpoch(7);
const STATE: StateEpoch = StateEpoch(2);

fn at(seconds: u64) -> Now {
    Now { monotonic: Duration::from_secs(seconds), wall: Timestamp::NONE }
}

fn batch(first: i64, last: i64, state: DeliveryState, count: u16) -> StateBatch {
    StateBatch::new(Offset(first), Offset(last), state, count).unwrap()
}

fn found(start: i64, batches: Vec<StateBatch>) -> State {
    State { state_epoch: STATE, start: Some(Offset(start)), batches }
}

fn fresh(config: Config) -> SharePartition {
    SharePartition::new(config, LEADER, &found(0, vec![]), Offset::ZERO)
}

fn extents(all: &[(i64, i64)]) -> Vec<Extent> {
    all.iter().map(|&(first, last)| Extent { first: Offset(first), last: Offset(last) }).collect()
}

/// The batches of the log from `from` on are read for `member`, who takes what may be had.
fn take(partition: &mut SharePartition, now: Now, member: &str, log: &[(i64, i64)], max: u64) -> Vec<(i64, i64, u16)> {
    let Some(from) = partition.next_fetch() else { return Vec::new() };
    let extents: Vec<_> = extents(log).into_iter().filter(|extent| extent.last >= from).collect();
    let acquire = Acquire {
        member: &Arc::from(member),
        from,
        extents: &extents,
        aborted: &[],
        max_records: max,
        batch_size: 1000,
        is_strict: false,
    };
    as_tuples(partition.acquire(now, &acquire))
}

fn as_tuples(acquired: Vec<Acquired>) -> Vec<(i64, i64, u16)> {
    acquired.into_iter().map(|one| (one.first.0, one.last.0, one.count)).collect()
}

fn said(first: i64, last: i64, codes: &[i8]) -> Vec<Acknowledgement> {
    vec![Acknowledgement::new(Offset(first), Offset(last), codes).unwrap()]
}

fn write(start: i64, complete: u32, batches: Vec<StateBatch>) -> Effect {
    let (start, complete) = (Some(Offset(start)), Some(complete));
    Effect::Write(Write { state_epoch: STATE, leader_epoch: LEADER, start, complete, batches })
}

fn reply(id: u64, result: Result<(), Error>) -> Effect {
    Effect::Reply(RequestId(id), result)
}

#[test]
fn what_one_member_has_no_other_gets_and_accepted_records_move_the_start_once_that_is_durable() {
    let mut partition = fresh(Config::default());
    assert_eq!(take(&mut partition, at(0), "a", &[(0, 9)], 10), [(0, 9, 1)]);
    assert_eq!(take(&mut partition, at(0), "b", &[(0, 9), (10, 14)], 10), [(10, 14, 1)]);
    partition.acknowledge(at(1), RequestId(1), "a", &said(0, 9, &[1]));
    assert_eq!(partition.take_effects(), [write(0, 10, vec![batch(0, 9, Acknowledged, 1)])]);
    assert_eq!(partition.start(), Offset(0), "it is not durable yet");
    partition.written(Ok(()));
    assert_eq!(partition.take_effects(), [reply(1, Ok(())), Effect::Wake]);
    assert_eq!((partition.start(), partition.next_fetch()), (Offset(10), Some(Offset(15))));
}

#[test]
fn what_is_said_meanwhile_goes_with_the_next_write() {
    let mut partition = fresh(Config::default());
    take(&mut partition, at(0), "a", &[(0, 2)], 3);
    partition.acknowledge(at(1), RequestId(1), "a", &said(0, 0, &[1]));
    partition.take_effects();
    partition.acknowledge(at(1), RequestId(2), "a", &said(1, 1, &[1]));
    partition.acknowledge(at(1), RequestId(3), "a", &said(2, 2, &[3]));
    assert_eq!(partition.take_effects(), []);
    partition.written(Ok(()));
    let both = vec![batch(1, 1, Acknowledged, 1), batch(2, 2, Archived, 1)];
    assert_eq!(partition.take_effects(), [reply(1, Ok(())), Effect::Wake, write(1, 2, both)]);
    partition.written(Ok(()));
    assert_eq!(partition.take_effects(), [reply(2, Ok(())), reply(3, Ok(())), Effect::Wake]);
    assert_eq!(partition.start(), Offset(3));
}

#[test]
fn a_member_says_something_of_each_record() {
    let mut partition = fresh(Config::default());
    take(&mut partition, at(0), "a", &[(0, 4)], 5);
    partition.acknowledge(at(1), RequestId(1), "a", &said(0, 4, &[1, 1, 2, 3, 0]));
    let states = vec![batch(0, 1, Acknowledged, 1), batch(2, 2, Available, 1), batch(3, 4, Archived, 1)];
    assert_eq!(partition.take_effects(), [write(0, 4, states)]);
    partition.written(Ok(()));
    assert_eq!(take(&mut partition, at(2), "b", &[(0, 4)], 5), [(2, 2, 2)]);
}

#[test]
fn a_write_that_fails_leaves_the_records_with_the_member_until_its_time_is_over() {
    let mut partition = fresh(Config::default());
    take(&mut partition, at(0), "a", &[(0, 4)], 5);
    partition.acknowledge(at(29), RequestId(1), "a", &said(0, 4, &[1]));
    partition.take_effects();
    partition.tick(at(30));
    assert_eq!(partition.take_effects(), [], "what is decided is not taken away");
    partition.written(Err(Error::CoordinatorNotAvailable));
    let failed = Err(Error::CoordinatorNotAvailable);
    assert_eq!(partition.take_effects(), [reply(1, failed), Effect::Wake]);
    assert_eq!(partition.next_deadline(), Some(Duration::from_secs(30)));
    partition.tick(at(31));
    assert_eq!(partition.take_effects(), [write(0, 0, vec![batch(0, 4, Available, 1)]), Effect::Wake]);
    partition.acknowledge(at(31), RequestId(2), "a", &said(0, 4, &[1]));
    assert_eq!(partition.take_effects(), [reply(2, Err(Error::InvalidRecordState))]);
}

#[test]
fn records_whose_time_is_over_go_to_another_member() {
    let mut partition = fresh(Config::default());
    take(&mut partition, at(0), "a", &[(0, 4)], 5);
    assert_eq!(partition.next_deadline(), Some(Duration::from_secs(30)));
    assert_eq!(partition.tick(at(29)), 0);
    assert_eq!(partition.take_effects(), []);
    assert_eq!(partition.tick(at(30)), 5);
    assert_eq!(take(&mut partition, at(30), "b", &[(0, 4)], 5), [(0, 4, 2)]);
}

#[test]
fn more_time_is_given_where_it_is_asked_for_and_nothing_is_written() {
    let mut partition = fresh(Config::default());
    take(&mut partition, at(0), "a", &[(0, 4)], 5);
    partition.acknowledge(at(20), RequestId(1), "a", &said(0, 2, &[4]));
    assert_eq!(partition.take_effects(), [reply(1, Ok(()))]);
    partition.tick(at(30));
    assert_eq!(partition.take_effects(), [write(0, 0, vec![batch(3, 4, Available, 1)]), Effect::Wake]);
    partition.reconfigure(Config { may_renew: false, ..Config::default() });
    partition.acknowledge(at(31), RequestId(2), "a", &said(0, 2, &[4]));
    assert_eq!(partition.take_effects(), [reply(2, Err(Error::InvalidRecordState))]);
}

#[test]
fn a_member_may_speak_only_of_what_it_has_and_all_of_it_counts_or_nothing() {
    let mut partition = fresh(Config::default());
    take(&mut partition, at(0), "a", &[(0, 4)], 5);
    take(&mut partition, at(0), "b", &[(0, 4), (5, 9)], 5);
    let mut refused = |member: &str, said: Vec<Acknowledgement>| {
        partition.acknowledge(at(1), RequestId(1), member, &said);
        partition.take_effects()
    };
    let (state, request) = (Err(Error::InvalidRecordState), Err(Error::InvalidRequest));
    assert_eq!(refused("b", said(0, 4, &[1])), [reply(1, state)]);
    assert_eq!(refused("a", said(0, 9, &[1])), [reply(1, state)]);
    assert_eq!(refused("a", said(0, 10, &[1])), [reply(1, request)]);
    assert_eq!(refused("a", [said(3, 4, &[1]), said(0, 2, &[1])].concat()), [reply(1, request)]);
    assert_eq!(refused("a", [said(0, 1, &[1]), said(5, 5, &[1])].concat()), [reply(1, state)]);
    assert_eq!(refused("a", said(0, 4, &[1])), [write(0, 5, vec![batch(0, 4, Acknowledged, 1)])]);
    assert_eq!(refused("a", said(0, 4, &[1])), [reply(1, state)], "it has been said");
}

#[test]
fn a_member_that_goes_gives_back_what_it_has() {
    let mut partition = fresh(Config::default());
    take(&mut partition, at(0), "a", &[(0, 4)], 5);
    take(&mut partition, at(0), "b", &[(0, 4), (5, 9)], 5);
    partition.release(RequestId(1), "a");
    assert_eq!(partition.take_effects(), [write(0, 0, vec![batch(0, 4, Available, 1)])]);
    assert_eq!(partition.next_fetch(), Some(Offset(10)), "not before that is durable");
    partition.written(Ok(()));
    assert_eq!(partition.take_effects(), [reply(1, Ok(())), Effect::Wake]);
    assert_eq!(partition.next_fetch(), Some(Offset(0)));
    partition.release(RequestId(2), "c");
    assert_eq!(partition.take_effects(), [reply(2, Ok(()))]);
    assert!(!partition.is_idle(), "another has some");
    partition.release(RequestId(3), "b");
    assert!(!partition.is_idle(), "that is on its way");
    partition.written(Ok(()));
    assert!(partition.is_idle());
}

#[test]
fn a_record_delivered_too_often_is_given_up_and_suspects_come_one_by_one_the_last_time() {
    let mut partition = fresh(Config { max_deliveries: 3, ..Config::default() });
    let log = [(0, 3)];
    assert_eq!(take(&mut partition, at(0), "a", &log, 10), [(0, 3, 1)]);
    partition.tick(at(30));
    assert_eq!(take(&mut partition, at(30), "a", &log, 10), [(0, 3, 2)]);
    partition.tick(at(60));
    for offset in 0..4 {
        assert_eq!(take(&mut partition, at(60), "a", &log, 10), [(offset, offset, 3)]);
    }
    partition.tick(at(90));
    assert_eq!((partition.start(), partition.next_fetch()), (Offset(4), Some(Offset(4))));
}

#[test]
fn suspects_come_in_smaller_and_smaller_numbers() {
    let config = Config { max_deliveries: 10, ..Config::default() };
    let most = |count| config.most_at_once(count, 64);
    assert_eq!([4, 5, 6, 7, 8, 9].map(most), [None, Some(32), Some(16), Some(8), Some(4), Some(1)]);
    let few = Config { max_deliveries: 2, ..Config::default() };
    assert_eq!(few.most_at_once(1, 64), None);
}

#[test]
fn no_more_records_are_given_out_than_may_be_in_flight() {
    let mut partition = fresh(Config { max_in_flight: 10, ..Config::default() });
    let log = [(0, 4), (5, 11), (12, 20)];
    assert_eq!(take(&mut partition, at(0), "a", &log, 500), [(0, 11, 1)], "up to the end of a batch");
    assert_eq!(partition.next_fetch(), None);
    partition.tick(at(30));
    assert_eq!(take(&mut partition, at(30), "b", &log, 500), [(0, 11, 2)], "what is in flight may be given again");
}

#[test]
fn nothing_is_given_beyond_what_the_reach_of_a_read_covers() {
    let log: Vec<_> = (0..40).map(|batch| (batch * 3, batch * 3 + 2)).collect();
    let covered = |partition: &SharePartition, log: &[(i64, i64)], max| {
        let from = partition.next_fetch().unwrap();
        let reach = partition.reach(from, max);
        let read: Vec<_> = log.iter().copied().filter(|(_, last)| Offset(*last) >= from).collect();
        let first = Offset(read[0].0);
        read.into_iter().filter(|(at, _)| reach.covers(first, Offset(*at))).collect::<Vec<_>>()
    };
    // Each does the same twice: once with all of the log, once with what the reach covers of it.
    for (max, seen) in [(1, 1), (3, 1), (4, 2), (9, 3), (500, 4)] {
        let (mut all, mut near) = [(); 2].map(|()| fresh(Config { max_in_flight: 10, ..Config::default() })).into();
        let read = covered(&near, &log, max);
        assert_eq!(read.len(), seen);
        assert_eq!(take(&mut near, at(0), "a", &read, max), take(&mut all, at(0), "a", &log, max));
    }
    let (mut all, mut near) = [(); 2].map(|()| fresh(Config::default())).into();
    for partition in [&mut all, &mut near] {
        take(partition, at(0), "a", &log, 6);
        take(partition, at(1), "b", &log, 6);
    }
    for partition in [&mut all, &mut near] {
        partition.tick(at(30));
    }
    let read = covered(&near, &log, 10);
    assert_eq!(read.last(), Some(&(21, 23)), "what b has lies between");
    assert_eq!(take(&mut near, at(30), "c", &read, 10), [(0, 5, 2), (12, 17, 1)]);
    assert_eq!(take(&mut all, at(30), "c", &log, 10), [(0, 5, 2), (12, 17, 1)]);
    let gap = &log[30..];
    let (mut all, mut near) = [(); 2].map(|()| fresh(Config::default())).into();
    let read = covered(&near, gap, 4);
    assert_eq!(read, gap[..2], "counted from where the log begins");
    assert_eq!(take(&mut near, at(0), "a", &read, 4), take(&mut all, at(0), "a", gap, 4));
}

#[test]
fn a_strict_limit_ends_within_a_batch_and_the_next_member_goes_on_there() {
    let mut partition = fresh(Config::default());
    for (member, expected) in [("a", (0, 2, 1)), ("b", (3, 5, 1)), ("c", (6, 8, 1))] {
        let acquire = Acquire {
            member: &Arc::from(member),
            from: partition.next_fetch().unwrap(),
            extents: &extents(&[(0, 9)]),
            aborted: &[],
            max_records: 3,
            batch_size: 1,
            is_strict: true,
        };
        assert_eq!(as_tuples(partition.acquire(at(0), &acquire)), [expected]);
    }
}

#[test]
fn large_acquisitions_are_cut_where_batches_of_the_log_begin() {
    let mut partition = fresh(Config::default());
    let acquire = Acquire {
        member: &Arc::from("a"),
        from: Offset(0),
        extents: &extents(&[(0, 2), (3, 5), (6, 8), (9, 11)]),
        aborted: &[],
        max_records: 100,
        batch_size: 5,
        is_strict: false,
    };
    assert_eq!(as_tuples(partition.acquire(at(0), &acquire)), [(0, 5, 1), (6, 11, 1)]);
}

#[test]
fn records_of_aborted_transactions_are_for_nobody() {
    let mut partition = fresh(Config::default());
    let acquire = Acquire {
        member: &Arc::from("a"),
        from: Offset(0),
        extents: &extents(&[(0, 2), (3, 5), (6, 8)]),
        aborted: &extents(&[(0, 2), (6, 8)]),
        max_records: 100,
        batch_size: 100,
        is_strict: false,
    };
    assert_eq!(as_tuples(partition.acquire(at(0), &acquire)), [(3, 5, 1)]);
    assert_eq!(partition.start(), Offset(3));
}

#[test]
fn offsets_that_are_no_longer_in_the_log_are_passed_over() {
    let mut partition = fresh(Config::default());
    assert_eq!(take(&mut partition, at(0), "a", &[(4, 6)], 100), [(4, 6, 1)], "a compacted log begins later");
    assert_eq!(partition.start(), Offset(4));
    partition.tick(at(30));
    assert_eq!(take(&mut partition, at(30), "a", &[(6, 6), (9, 9)], 100), [(6, 6, 2), (7, 9, 1)]);
    assert_eq!(partition.start(), Offset(6));
}

#[test]
fn what_retention_deletes_is_over_and_may_be_spoken_of_in_vain() {
    let mut partition = fresh(Config::default());
    take(&mut partition, at(0), "a", &[(0, 4), (5, 9)], 100);
    partition.log_starts_at(Offset(7));
    assert_eq!((partition.start(), partition.take_effects()), (Offset(7), vec![Effect::Wake]));
    partition.acknowledge(at(1), RequestId(1), "a", &said(0, 4, &[1]));
    assert_eq!(partition.take_effects(), [write(7, 0, vec![])], "what is over has to stay so");
    partition.written(Ok(()));
    assert_eq!(partition.take_effects(), [reply(1, Ok(())), Effect::Wake]);
    partition.acknowledge(at(1), RequestId(2), "a", &said(0, 4, &[1]));
    assert_eq!(partition.take_effects(), [reply(2, Ok(()))]);
    partition.acknowledge(at(1), RequestId(3), "a", &said(5, 9, &[1]));
    assert_eq!(partition.take_effects(), [write(7, 3, vec![batch(7, 9, Acknowledged, 1)])]);
    partition.written(Ok(()));
    partition.log_starts_at(Offset(3));
    assert_eq!(partition.start(), Offset(10), "the start never goes back");
}

#[test]
fn another_leader_goes_on_with_what_was_kept() {
    let batches = vec![batch(10, 11, Acknowledged, 1), batch(14, 15, Available, 2), batch(16, 16, Archived, 5)];
    let mut partition = SharePartition::new(Config::default(), LEADER, &found(10, batches), Offset(99));
    assert_eq!(partition.start(), Offset(12), "what was accepted at the beginning is over");
    assert_eq!(
        take(&mut partition, at(0), "a", &[(10, 20)], 3),
        [(12, 13, 1), (14, 15, 3)],
        "nothing was kept of 12 and 13"
    );
    let unsaid = State { state_epoch: STATE, start: None, batches: vec![] };
    assert_eq!(SharePartition::new(Config::default(), LEADER, &unsaid, Offset(99)).start(), Offset(99));
}
