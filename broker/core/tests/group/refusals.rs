//! Groups of the consumer protocol whose records the log refuses, or would refuse since they are too large for one batch.
//! The bench holds every append to the size that a log takes.

use std::time::Duration;

use bytes::Bytes;
use ottla_core::coordinator::{AppendError, RequestId};
use ottla_core::group::{
    Beat, ConsumerHeartbeat, DescribedConsumerGroup, Error, Join, LEAVE, ListFilter, Protocol, Request, Response,
};

use super::bench::Bench;
use super::requests::{beat, commit, first_beat, heartbeat, join, static_join, subscription, sync};

/// What can be told of a refusal for now.
const REFUSED: AppendError = AppendError::NotEnoughReplicas;

fn start() -> Bench {
    let mut bench = Bench::without_delay();
    bench.tell(&[("t1", 4)]);
    bench
}

fn answer(bench: &mut Bench, id: RequestId) -> Result<Beat, Error> {
    match bench.take(id) {
        Some(Response::ConsumerHeartbeat(result)) => result.map_err(|refusal| refusal.error),
        other => panic!("no heartbeat but {other:?}"),
    }
}

fn send(bench: &mut Bench, heartbeat: ConsumerHeartbeat) -> Result<Beat, Error> {
    let id = bench.send(Request::ConsumerHeartbeat(heartbeat));
    answer(bench, id)
}

/// The log refuses all that the heartbeat changes.
fn send_refused(bench: &mut Bench, heartbeat: ConsumerHeartbeat) {
    bench.is_prompt = false;
    let id = bench.send(Request::ConsumerHeartbeat(heartbeat));
    while !bench.in_flight.is_empty() {
        bench.fail_oldest(REFUSED);
    }
    bench.is_prompt = true;
    assert_eq!(answer(bench, id), Err(Error::CoordinatorNotAvailable));
}

fn describe(bench: &mut Bench) -> Option<DescribedConsumerGroup> {
    let Response::DescribeConsumer(found) = bench.call(Request::DescribeConsumer("g".into())) else { panic!() };
    found.ok()
}

fn members(bench: &mut Bench) -> Vec<String> {
    describe(bench).unwrap().members.into_iter().map(|member| member.member_id).collect()
}

fn groups(bench: &mut Bench) -> usize {
    let Response::List(listed) = bench.call(Request::List(ListFilter::default())) else { panic!() };
    listed.len()
}

/// Names of topics that nobody else has, 50 bytes each.
fn names(of: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{of:010}{number:040}")).collect()
}

fn subscribing(member: &str, topics: Vec<String>) -> ConsumerHeartbeat {
    ConsumerHeartbeat { topics: Some(topics), ..first_beat("g", member, &[]) }
}

fn joined(bench: &mut Bench, request: RequestId) -> String {
    let joined = bench.take_join(request);
    assert_eq!(joined.result.map(drop), Ok(()));
    joined.member_id
}

/// A classic group with members that subscribe to `count` topics each; their ids.
fn classic_group(bench: &mut Bench, members: usize, count: usize) -> Vec<String> {
    let subscribing = |id: &str, number: usize| {
        let names = names(number, count);
        let metadata = subscription(&names.iter().map(String::as_str).collect::<Vec<_>>());
        Join { protocols: vec![Protocol { name: "range".into(), metadata }], ..join("g", id, number as u128) }
    };
    let first = bench.send(Request::Join(subscribing("", 0)));
    let first = joined(bench, first);
    let others: Vec<_> = (1..members).map(|number| bench.send(Request::Join(subscribing("", number)))).collect();
    let again = bench.send(Request::Join(subscribing(&first, 0)));
    let leader = bench.take_join(again).result.unwrap();
    let mut ids = vec![first];
    ids.extend(others.into_iter().map(|request| joined(bench, request)));
    let Request::Sync(mut sync) = sync("g", &leader.leader, leader.generation, &[]) else { panic!() };
    sync.assignments = ids.iter().map(|id| (id.clone(), Bytes::from_static(&[0; 10]))).collect();
    assert!(matches!(bench.call(Request::Sync(sync)), Response::Sync(Ok(_))));
    ids
}

#[test]
fn a_member_that_says_more_than_can_be_stored_is_refused_and_the_others_go_on() {
    let mut bench = start();
    send(&mut bench, first_beat("g", "a", &["t1"])).unwrap();
    assert_eq!(send(&mut bench, subscribing("b", names(0, 40_000))), Err(Error::InvalidRequest));
    let racked = ConsumerHeartbeat { rack_id: Some("r".repeat(40_000)), ..first_beat("g", "b", &["t1"]) };
    assert_eq!(send(&mut bench, racked), Err(Error::InvalidRequest));
    let large =
        Protocol { name: "range".into(), metadata: [&subscription(&["t1"])[..], &[0; 600_000]].concat().into() };
    let request = bench.send(Request::Join(Join { protocols: vec![large], ..join("g", "", 1) }));
    assert_eq!(bench.take_join(request).result, Err(Error::InconsistentGroupProtocol));
    assert!(send(&mut bench, beat("g", "a", 2)).is_ok());
    assert_eq!(members(&mut bench), ["a"]);
}

#[test]
fn a_classic_group_too_large_for_one_batch_changes_its_protocol_all_the_same() {
    let mut bench = start();
    let mut expected = classic_group(&mut bench, 12, 1000);
    send(&mut bench, first_beat("g", "new", &["t1"])).unwrap();
    expected.push("new".into());
    bench.compact();
    bench.reload();
    let mut found = members(&mut bench);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    // And back: the members of the classic protocol are one record again.
    send(&mut bench, beat("g", "new", LEAVE)).unwrap();
    bench.compact();
    bench.reload();
    assert_eq!((describe(&mut bench).is_none(), groups(&mut bench)), (true, 1));
}

#[test]
fn a_classic_group_with_a_member_that_cannot_be_stored_stays_what_it_is() {
    let mut bench = start();
    let ids = classic_group(&mut bench, 1, 6_000);
    assert_eq!(send(&mut bench, first_beat("g", "new", &["t1"])), Err(Error::GroupIdNotFound));
    assert_eq!(bench.call(heartbeat("g", &ids[0], 1)), Response::Heartbeat(Ok(())));
}

/// A group too large for one batch, which is being written anew, for the log refused a change of it; and the first
/// heartbeat that waits for that.
fn written_in_several() -> (Bench, RequestId) {
    let mut bench = start();
    for number in 0..12 {
        send(&mut bench, subscribing(&format!("m{number:02}"), names(number, 3000))).unwrap();
    }
    send_refused(&mut bench, beat("g", "m11", LEAVE));
    bench.is_prompt = false;
    let id = bench.send(Request::ConsumerHeartbeat(first_beat("g", "new", &["t1"])));
    (bench, id)
}

#[test]
fn a_group_too_large_for_one_batch_is_written_anew_in_several_and_answers_wait_for_all() {
    let (mut bench, id) = written_in_several();
    assert!(bench.in_flight.len() > 1, "{}", bench.in_flight.len());
    bench.make_durable();
    assert!(bench.take(id).is_none());
    bench.is_prompt = true;
    bench.make_durable();
    let id = bench.send(Request::ConsumerHeartbeat(first_beat("g", "new", &["t1"])));
    assert!(answer(&mut bench, id).is_ok());
    let before = describe(&mut bench);
    bench.compact();
    bench.reload();
    assert_eq!(describe(&mut bench), before);
    assert_eq!(members(&mut bench).len(), 12);
}

#[test]
fn what_is_in_several_batches_is_refused_if_any_of_them_is() {
    let (mut bench, id) = written_in_several();
    let later = bench.send(Request::ConsumerHeartbeat(beat("g", "m00", 2)));
    bench.fail_oldest(REFUSED);
    assert_eq!(answer(&mut bench, id), Err(Error::CoordinatorNotAvailable));
    assert_eq!(answer(&mut bench, later).map(drop), Err(Error::CoordinatorNotAvailable), "it waits for the same");
    while !bench.in_flight.is_empty() {
        bench.make_durable();
    }
    bench.is_prompt = true;
    assert!(send(&mut bench, first_beat("g", "new", &["t1"])).is_ok());
    let before = describe(&mut bench);
    bench.reload();
    assert_eq!(describe(&mut bench), before);
}

/// A group that nobody is in; of its last member, who left when the log refused it, nobody has told the log.
fn deserted() -> Bench {
    let mut bench = start();
    send(&mut bench, first_beat("g", "a", &["t1"])).unwrap();
    send_refused(&mut bench, beat("g", "a", LEAVE));
    bench
}

/// The number of groups that another coordinator finds.
fn groups_after_all(mut bench: Bench) -> usize {
    bench.compact();
    bench.reload();
    groups(&mut bench)
}

#[test]
fn a_group_that_goes_takes_what_the_log_refused_to_delete_with_it() {
    let mut deleted = deserted();
    assert_eq!(deleted.call(Request::Delete("g".into())), Response::Delete(Ok(())));
    assert_eq!(groups_after_all(deleted), 0);

    let mut expired = deserted();
    expired.advance(Duration::from_secs(8 * 24 * 3600));
    assert_eq!(groups_after_all(expired), 0);

    let mut replaced = deserted();
    let request = replaced.send(Request::Join(join("g", "", 1)));
    joined(&mut replaced, request);
    assert_eq!(groups_after_all(replaced), 0, "the new one is not stored yet");
}

#[test]
fn a_refused_deletion_is_made_good_by_the_next_and_harms_no_group_that_lives_on() {
    let mut bench = deserted();
    bench.is_prompt = false;
    let request = bench.send(Request::Delete("g".into()));
    while !bench.in_flight.is_empty() {
        bench.fail_oldest(REFUSED);
    }
    assert!(matches!(bench.take(request), Some(Response::Delete(Err(_)))));
    bench.is_prompt = true;
    send(&mut bench, first_beat("g", "b", &["t1"])).unwrap();
    bench.compact();
    bench.reload();
    assert_eq!(members(&mut bench), ["b"]);
}

/// `a` of the classic protocol and `b` of the other in one group.
fn mixed() -> (Bench, String) {
    let mut bench = start();
    let request = bench.send(Request::Join(static_join("g", "a", 1)));
    let id = joined(&mut bench, request);
    let assignments = [(id.as_str(), "\0\0\0\0\0\0\0\0\0\0")];
    assert!(matches!(bench.call(sync("g", &id, 1, &assignments)), Response::Sync(Ok(_))));
    send(&mut bench, first_beat("g", "b", &["t1"])).unwrap();
    (bench, id)
}

#[test]
fn a_refused_downgrade_leaves_no_member_behind() {
    let (mut bench, id) = mixed();
    send_refused(&mut bench, beat("g", "b", LEAVE));
    let again = Join { member_id: id.clone(), ..static_join("g", "a", 1) };
    let request = bench.send(Request::Join(again));
    let generation = bench.take_join(request).result.unwrap().generation;
    let assignments = [(id.as_str(), "\0\0\0\0\0\0\0\0\0\0")];
    assert!(matches!(bench.call(sync("g", &id, generation, &assignments)), Response::Sync(Ok(_))));
    send(&mut bench, first_beat("g", "c", &["t1"])).unwrap();
    bench.compact();
    bench.reload();
    assert_eq!(members(&mut bench), [id, "c".into()]);
}

#[test]
fn a_downgrade_takes_what_was_refused_before_with_it() {
    let (mut bench, id) = mixed();
    send(&mut bench, first_beat("g", "c", &["t1"])).unwrap();
    send_refused(&mut bench, beat("g", "c", LEAVE));
    send(&mut bench, beat("g", "b", LEAVE)).unwrap();
    send(&mut bench, first_beat("g", "d", &["t1"])).unwrap();
    bench.compact();
    bench.reload();
    assert_eq!(members(&mut bench), [id, "d".into()]);
}

#[test]
fn a_refused_upgrade_leaves_no_classic_group_behind() {
    let mut bench = start();
    let id = classic_group(&mut bench, 1, 1).remove(0);
    send_refused(&mut bench, first_beat("g", "b", &["t1"]));
    send(&mut bench, first_beat("g", "b", &["t1"])).unwrap();
    let Response::Leave(Ok(_)) = bench.call(super::requests::leave("g", &id)) else { panic!() };
    send(&mut bench, beat("g", "b", LEAVE)).unwrap();
    assert_eq!(bench.call(Request::Delete("g".into())), Response::Delete(Ok(())));
    assert_eq!(groups_after_all(bench), 0);
}

#[test]
fn heartbeats_neither_wait_for_commits_nor_fail_with_them() {
    let mut bench = start();
    send(&mut bench, first_beat("g", "a", &["t1"])).unwrap();
    bench.is_prompt = false;
    let Request::Commit(mut of_member) = commit("g", "a", 2, "t1", 0, 5) else { panic!() };
    of_member.knows_consumer_protocol = true;
    let committed = bench.send(Request::Commit(of_member));
    let idle = bench.send(Request::ConsumerHeartbeat(beat("g", "a", 2)));
    assert!(answer(&mut bench, idle).is_ok());
    assert!(bench.take(committed).is_none(), "the offset is on its way still");
}
