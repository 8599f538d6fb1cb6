//! From one protocol to the other while members are at work (KIP-848).

use std::time::Duration;

use bytes::Bytes;
use ottla_core::group::{
    Config, ConsumerConfig, ConsumerGroupState, ConsumerHeartbeat, Error, GroupState, Join, JoinedGeneration, LEAVE,
    LEAVE_FOR_A_WHILE, MigrationPolicy, Protocol, Request, Response,
};

use super::bench::{Bench, assigning_every, topic_id};
use super::requests::{beat, commit, fetch_all, first_beat, heartbeat, join, leave, offsets, partitions, sync};
use super::transactions::{PRODUCER, transactional};

/// A subscription of version 1 to `t` by one that owns `owned` of it.
fn subscription(owned: &[i32]) -> Bytes {
    let mut out = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff".to_vec();
    out.extend(assigned(owned));
    out.into()
}

/// Topics as subscriptions and assignments have them.
fn assigned(partitions: &[i32]) -> Vec<u8> {
    if partitions.is_empty() {
        return vec![0; 4];
    }
    let mut out = b"\0\0\0\x01\0\x01t".to_vec();
    out.extend((partitions.len() as u32).to_be_bytes());
    partitions.iter().for_each(|partition| out.extend(partition.to_be_bytes()));
    out
}

/// An assignment of version 1.
fn assignment(partitions: &[i32]) -> Bytes {
    [&b"\0\x01"[..], &assigned(partitions), b"\xff\xff\xff\xff"].concat().into()
}

fn classic(member_id: &str, fresh_id: u128, owned: &[i32]) -> Join {
    let protocols = vec![Protocol { name: "cooperative-sticky".into(), metadata: subscription(owned) }];
    Join { protocols, ..join("g", member_id, fresh_id) }
}

fn joined(bench: &mut Bench, join: Join) -> (String, JoinedGeneration) {
    let id = bench.send(Request::Join(join));
    let joined = bench.take_join(id);
    (joined.member_id, joined.result.unwrap())
}

fn synced(bench: &mut Bench, member_id: &str, generation: i32) -> Result<Bytes, Error> {
    let Response::Sync(result) = bench.call(sync("g", member_id, generation, &[])) else { panic!() };
    result.map(|synced| synced.assignment)
}

/// A classic group of one member that has all four partitions, in generation 1; its id.
fn classic_group(config: Config) -> (Bench, String) {
    let mut bench = Bench::new(config);
    bench.tell(&[("t", 4)]);
    let (id, _) = joined(&mut bench, classic("", 1, &[]));
    let Request::Sync(mut sync) = sync("g", &id, 1, &[]) else { panic!() };
    sync.assignments = vec![(id.clone(), assignment(&[0, 1, 2, 3]))];
    assert!(matches!(bench.call(Request::Sync(sync)), Response::Sync(Ok(_))));
    bench.call(commit("g", &id, 1, "t1", 0, 7));
    (bench, id)
}

/// The same after a member of the consumer protocol has joined, and both have their share.
fn mixed_group() -> (Bench, String) {
    let (mut bench, id) = classic_group(assigning_every(Duration::ZERO));
    let answer = send(&mut bench, first_beat("g", "new", &["t"])).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(partitions("t", &[]))), "all is with the other");
    // The classic member learns of it as of any rebalance, and gives up two.
    assert_eq!(bench.call(heartbeat("g", &id, 1)), Response::Heartbeat(Err(Error::RebalanceInProgress)));
    let (_, generation) = joined(&mut bench, classic(&id, 0, &[0, 1, 2, 3]));
    assert_eq!((generation.generation, generation.leader.as_str(), generation.members.len()), (1, "", 0));
    assert_eq!(synced(&mut bench, &id, 1), Ok(assignment(&[0, 1])));
    // It rejoins for as long as it has something to give up.
    assert_eq!(bench.call(heartbeat("g", &id, 1)), Response::Heartbeat(Err(Error::RebalanceInProgress)));
    let (_, generation) = joined(&mut bench, classic(&id, 0, &[0, 1]));
    assert_eq!(generation.generation, 2);
    assert_eq!(synced(&mut bench, &id, 2), Ok(assignment(&[0, 1])));
    assert_eq!(bench.call(heartbeat("g", &id, 2)), Response::Heartbeat(Ok(())));
    assert_eq!(send(&mut bench, beat("g", "new", 2)).unwrap().assignment, Some(partitions("t", &[2, 3])));
    (bench, id)
}

fn send(bench: &mut Bench, heartbeat: ConsumerHeartbeat) -> Result<ottla_core::group::Beat, Error> {
    let Response::ConsumerHeartbeat(result) = bench.call(Request::ConsumerHeartbeat(heartbeat)) else { panic!() };
    result.map_err(|refusal| refusal.error)
}

fn state(bench: &mut Bench) -> Result<ConsumerGroupState, Result<GroupState, Error>> {
    let Response::DescribeConsumer(consumer) = bench.call(Request::DescribeConsumer("g".into())) else { panic!() };
    let Response::Describe(classic) = bench.call(Request::Describe("g".into())) else { panic!() };
    consumer.map(|found| found.state).map_err(|_| classic.map(|found| found.state).map_err(|refusal| refusal.error))
}

#[test]
fn a_classic_group_becomes_one_of_the_consumer_protocol_and_nobody_loses_anything() {
    let (mut bench, id) = mixed_group();
    assert_eq!(state(&mut bench), Ok(ConsumerGroupState::Stable));
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 0, 7)]);
    let Response::Commit(committed) = bench.call(commit("g", &id, 2, "t1", 0, 8)) else { panic!() };
    assert!(committed.is_ok());
    assert_eq!(bench.call(commit("g", &id, 1, "t1", 0, 8)), Response::Commit(Err(Error::IllegalGeneration)));
    bench.reload();
    assert_eq!(state(&mut bench), Ok(ConsumerGroupState::Stable));
    assert_eq!(bench.call(heartbeat("g", &id, 2)), Response::Heartbeat(Ok(())));
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 0, 8)]);
}

#[test]
fn it_becomes_a_classic_one_again_when_the_last_member_of_the_consumer_protocol_leaves() {
    let (mut bench, id) = mixed_group();
    send(&mut bench, beat("g", "new", LEAVE)).unwrap();
    assert_eq!(state(&mut bench), Err(Ok(GroupState::PreparingRebalance)));
    bench.reload();
    assert_eq!(state(&mut bench), Err(Ok(GroupState::Stable)), "as it was stored");
    let (_, generation) = joined(&mut bench, classic(&id, 0, &[0, 1]));
    assert_eq!((generation.generation, generation.leader), (3, id.clone()));
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 0, 7)]);
    let Response::ConsumerHeartbeat(late) = bench.call(Request::ConsumerHeartbeat(beat("g", "new", 2))) else {
        panic!()
    };
    assert_eq!(late.unwrap_err().message, "Group g is not a consumer group.");
}

#[test]
fn when_the_last_member_of_the_classic_protocol_leaves_it_is_one_of_the_consumer_protocol_for_good() {
    let (mut bench, id) = mixed_group();
    let Response::Leave(Ok(left)) = bench.call(leave("g", &id)) else { panic!() };
    assert_eq!(left[0].result, Ok(()));
    assert_eq!(send(&mut bench, beat("g", "new", 2)).unwrap().assignment, Some(partitions("t", &[0, 1, 2, 3])));
    assert_eq!(bench.call(heartbeat("g", &id, 2)), Response::Heartbeat(Err(Error::UnknownMemberId)));
}

#[test]
fn a_member_of_the_consumer_protocol_cannot_be_removed_by_the_classic_one() {
    let (mut bench, _) = mixed_group();
    let Response::Leave(Ok(left)) = bench.call(leave("g", "new")) else { panic!() };
    assert_eq!(left[0].result, Err(Error::UnknownMemberId));
    assert_eq!(bench.call(heartbeat("g", "new", 2)), Response::Heartbeat(Err(Error::UnknownMemberId)));
}

#[test]
fn a_classic_member_that_does_not_come_for_its_share_is_out() {
    let (mut bench, id) = mixed_group();
    send(&mut bench, first_beat("g", "third", &["t"])).unwrap();
    for _ in 0..12 {
        assert_eq!(bench.call(heartbeat("g", &id, 2)), Response::Heartbeat(Err(Error::RebalanceInProgress)));
        let _ = send(&mut bench, beat("g", "new", 2)).or_else(|_| send(&mut bench, beat("g", "new", 3)));
        let _ = send(&mut bench, beat("g", "third", 3));
        bench.advance(Duration::from_secs(5));
    }
    assert_eq!(bench.call(heartbeat("g", &id, 2)), Response::Heartbeat(Err(Error::UnknownMemberId)));
}

#[test]
fn one_that_changes_its_protocol_under_its_id_is_not_put_out_for_what_it_left_undone_in_the_other() {
    let (mut bench, id) = mixed_group();
    send(&mut bench, first_beat("g", "third", &["t"])).unwrap();
    let rebalance = Response::Heartbeat(Err(Error::RebalanceInProgress));
    assert_eq!(bench.call(heartbeat("g", &id, 2)), rebalance, "it is to rejoin within 60 s");
    let mut epoch = send(&mut bench, first_beat("g", &id, &["t"])).unwrap().member_epoch;
    for _ in 0..20 {
        bench.advance(Duration::from_secs(5));
        let said = ConsumerHeartbeat { owned: Some(partitions("t", &[])), ..beat("g", &id, epoch) };
        epoch = send(&mut bench, said).unwrap().member_epoch;
    }
}

#[test]
fn a_classic_member_that_knows_no_protocol_of_the_others_is_refused() {
    let (mut bench, _) = mixed_group();
    let other =
        Join { protocols: vec![Protocol { name: "range".into(), metadata: subscription(&[]) }], ..classic("", 5, &[]) };
    let id = bench.send(Request::Join(other));
    assert_eq!(bench.take_join(id).result, Err(Error::InconsistentGroupProtocol));
    let unreadable = Join {
        protocols: vec![Protocol { name: "cooperative-sticky".into(), metadata: Bytes::from_static(b"\0") }],
        ..classic("", 5, &[])
    };
    let id = bench.send(Request::Join(unreadable));
    assert_eq!(bench.take_join(id).result, Err(Error::InconsistentGroupProtocol));
}

#[test]
fn the_last_member_may_change_its_protocol_in_place_if_it_is_static() {
    let mut bench = Bench::without_delay();
    bench.tell(&[("t", 2)]);
    let fixed = |heartbeat| ConsumerHeartbeat { instance_id: Some("i".into()), ..heartbeat };
    assert_eq!(send(&mut bench, fixed(first_beat("g", "new", &["t"]))).unwrap().member_epoch, 2);
    send(&mut bench, fixed(beat("g", "new", LEAVE_FOR_A_WHILE))).unwrap();
    let static_classic = Join { instance_id: Some("i".into()), ..classic("", 9, &[]) };
    let (id, generation) = joined(&mut bench, static_classic);
    assert_eq!(generation.generation, 2);
    assert_eq!(state(&mut bench), Err(Ok(GroupState::Stable)), "nobody of the consumer protocol is left");
    assert_eq!(synced(&mut bench, &id, 2), Ok(assignment(&[0, 1])));
    // And back: the classic incarnation need not have left.
    let back = send(&mut bench, fixed(first_beat("g", "newer", &["t"]))).unwrap();
    assert_eq!((back.member_epoch, back.assignment.unwrap().contains(topic_id("t"), 1)), (3, true));
}

#[test]
fn a_classic_member_is_not_told_to_come_for_targets_that_have_to_wait() {
    let (mut bench, id) = classic_group(assigning_every(Duration::from_secs(5)));
    let answer = send(&mut bench, first_beat("g", "new", &["t"])).unwrap();
    assert_eq!(answer.member_epoch, 2, "a classic generation is no reason to wait");
    assert_eq!(bench.call(heartbeat("g", &id, 1)), Response::Heartbeat(Err(Error::RebalanceInProgress)));
    joined(&mut bench, classic(&id, 0, &[0, 1, 2, 3]));
    synced(&mut bench, &id, 1).unwrap();
    joined(&mut bench, classic(&id, 0, &[0, 1]));
    synced(&mut bench, &id, 2).unwrap();

    send(&mut bench, first_beat("g", "newer", &["t"])).unwrap();
    assert_eq!(state(&mut bench), Ok(ConsumerGroupState::Assigning));
    assert_eq!(bench.call(heartbeat("g", &id, 2)), Response::Heartbeat(Ok(())), "there is nothing to get yet");
    bench.advance(Duration::from_secs(5));
    assert_eq!(bench.call(heartbeat("g", &id, 2)), Response::Heartbeat(Err(Error::RebalanceInProgress)));
    assert_eq!(joined(&mut bench, classic(&id, 0, &[0, 1])).1.generation, 3);
}

#[test]
fn policies_say_which_way_a_group_may_go() {
    let policy = |upgrade, downgrade| {
        let consumer =
            ConsumerConfig { migration: MigrationPolicy { upgrade, downgrade }, ..ConsumerConfig::default() };
        Config { consumer, ..assigning_every(Duration::ZERO) }
    };
    let (mut bench, id) = classic_group(policy(false, true));
    assert_eq!(send(&mut bench, first_beat("g", "new", &["t"])), Err(Error::GroupIdNotFound));
    assert_eq!(bench.call(heartbeat("g", &id, 1)), Response::Heartbeat(Ok(())), "nothing has changed");
    let (mut bench, _) = classic_group(policy(true, false));
    send(&mut bench, first_beat("g", "new", &["t"])).unwrap();
    send(&mut bench, beat("g", "new", LEAVE)).unwrap();
    assert_eq!(state(&mut bench), Ok(ConsumerGroupState::Assigning), "it stays what it is");
}

#[test]
fn a_group_without_members_may_become_of_either_kind() {
    let mut bench = Bench::without_delay();
    bench.tell(&[("t", 1)]);
    bench.call(commit("g", "", -1, "t1", 0, 5));
    send(&mut bench, first_beat("g", "a", &["t"])).unwrap();
    send(&mut bench, beat("g", "a", LEAVE)).unwrap();
    bench.reload();
    assert_eq!(state(&mut bench), Ok(ConsumerGroupState::Empty));
    let (_, generation) = joined(&mut bench, classic("", 3, &[]));
    assert_eq!(generation.generation, 1);
    bench.reload();
    let Response::DescribeConsumer(found) = bench.call(Request::DescribeConsumer("g".into())) else { panic!() };
    assert!(found.is_err());
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 0, 5)]);
}

#[test]
fn offsets_of_a_transaction_outlive_the_upgrade_of_their_group_in_a_compacted_log() {
    let (mut bench, id) = classic_group(assigning_every(Duration::ZERO));
    let Response::Commit(committed) = bench.call(transactional("g", 1, &id, 9)) else { panic!() };
    assert!(committed.is_ok());
    send(&mut bench, first_beat("g", "new", &["t"])).unwrap();
    bench.end_transaction(PRODUCER, true);
    let expected = [("t".to_owned(), 0, 9), ("t1".to_owned(), 0, 7)];
    assert_eq!(offsets(bench.call(fetch_all("g", true))), expected);
    // The classic group is gone from the log, and its deletion is not.
    bench.compact_keeping_deletions();
    bench.reload();
    assert_eq!(offsets(bench.call(fetch_all("g", true))), expected);
}
