//! Groups of the consumer protocol (KIP-848), one behaviour per test, by the exact answers.

use std::time::Duration;

use ottla_core::coordinator::AppendError;
use ottla_core::group::{
    Beat, Config, ConsumerConfig, ConsumerGroupState, ConsumerHeartbeat, DescribedConsumerGroup, Error, GroupKind,
    LEAVE, LEAVE_FOR_A_WHILE, ListFilter, Partitions, Request, Response,
};

use super::bench::{Bench, topic_id};
use super::requests::{beat, commit, fetch_all, first_beat, offsets, partitions};

pub(super) const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(5);

fn start(topics: &[(&str, i32)]) -> Bench {
    let mut bench = Bench::without_delay();
    bench.tell(topics);
    bench
}

fn send(bench: &mut Bench, heartbeat: ConsumerHeartbeat) -> Result<Beat, Error> {
    match bench.call(Request::ConsumerHeartbeat(heartbeat)) {
        Response::ConsumerHeartbeat(result) => result.map_err(|refusal| refusal.error),
        other => panic!("no heartbeat but {other:?}"),
    }
}

/// Epoch and, if it was told, assignment of topic `t`.
pub(super) fn answer(bench: &mut Bench, heartbeat: ConsumerHeartbeat) -> Result<(i32, Option<Vec<i32>>), Error> {
    let beat = send(bench, heartbeat)?;
    Ok((beat.member_epoch, beat.assignment.map(|set| set.iter().map(|(_, partition)| partition).collect())))
}

fn owning(heartbeat: ConsumerHeartbeat, indexes: &[i32]) -> ConsumerHeartbeat {
    ConsumerHeartbeat { owned: Some(partitions("t", indexes)), ..heartbeat }
}

fn fixed(heartbeat: ConsumerHeartbeat, instance_id: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat { instance_id: Some(instance_id.into()), ..heartbeat }
}

pub(super) fn describe(bench: &mut Bench) -> DescribedConsumerGroup {
    match bench.call(Request::DescribeConsumer("g".into())) {
        Response::DescribeConsumer(Ok(found)) => found,
        other => panic!("no group but {other:?}"),
    }
}

/// Members `a` and `b` with two partitions each of `t`, in epoch 3.
fn group_of_two() -> Bench {
    let mut bench = start(&[("t", 4)]);
    assert_eq!(answer(&mut bench, first_beat("g", "a", &["t"])), Ok((2, Some(vec![0, 1, 2, 3]))));
    assert_eq!(answer(&mut bench, first_beat("g", "b", &["t"])), Ok((3, Some(vec![]))));
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Ok((2, Some(vec![0, 1]))), "a has to give up two");
    assert_eq!(answer(&mut bench, beat("g", "b", 3)), Ok((3, None)), "which it still owns");
    assert_eq!(answer(&mut bench, owning(beat("g", "a", 2), &[0, 1])), Ok((3, None)));
    assert_eq!(answer(&mut bench, beat("g", "b", 3)), Ok((3, Some(vec![2, 3]))), "and now does not");
    assert_eq!(describe(&mut bench).state, ConsumerGroupState::Stable);
    bench
}

#[test]
fn partitions_are_given_up_before_they_are_given() {
    group_of_two();
}

#[test]
fn a_member_that_leaves_is_gone_at_once_and_its_share_goes_to_the_others() {
    let mut bench = group_of_two();
    assert_eq!(send(&mut bench, beat("g", "b", LEAVE)).map(|beat| beat.member_epoch), Ok(LEAVE));
    assert_eq!(answer(&mut bench, beat("g", "b", 3)), Err(Error::UnknownMemberId));
    assert_eq!(describe(&mut bench).state, ConsumerGroupState::Assigning);
    assert_eq!(answer(&mut bench, beat("g", "a", 3)), Ok((4, Some(vec![0, 1, 2, 3]))));
}

#[test]
fn a_member_that_is_silent_for_its_session_is_gone() {
    let mut bench = group_of_two();
    for _ in 0..8 {
        bench.advance(INTERVAL);
        assert_eq!(answer(&mut bench, beat("g", "a", 3)), Ok((3, None)));
    }
    bench.advance(INTERVAL);
    assert_eq!(answer(&mut bench, beat("g", "a", 3)), Ok((4, Some(vec![0, 1, 2, 3]))));
    assert_eq!(answer(&mut bench, beat("g", "b", 3)), Err(Error::UnknownMemberId));
}

#[test]
fn a_member_that_does_not_give_up_in_its_rebalance_timeout_is_gone() {
    let mut bench = start(&[("t", 4)]);
    assert_eq!(answer(&mut bench, first_beat("g", "a", &["t"])), Ok((2, Some(vec![0, 1, 2, 3]))));
    assert_eq!(answer(&mut bench, first_beat("g", "b", &["t"])), Ok((3, Some(vec![]))));
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Ok((2, Some(vec![0, 1]))));
    for _ in 0..11 {
        bench.advance(INTERVAL);
        assert_eq!(answer(&mut bench, owning(beat("g", "a", 2), &[0, 1, 2, 3])), Ok((2, None)), "alive, and stuck");
        assert_eq!(answer(&mut bench, beat("g", "b", 3)), Ok((3, None)));
    }
    bench.advance(INTERVAL);
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Err(Error::UnknownMemberId));
    assert_eq!(answer(&mut bench, beat("g", "b", 3)), Ok((4, Some(vec![0, 1, 2, 3]))));
}

#[test]
fn a_member_that_could_not_be_told_what_to_give_up_has_its_time_for_it_when_it_hears() {
    for is_slow in [false, true] {
        let mut bench = start(&[("t", 4)]);
        assert_eq!(answer(&mut bench, first_beat("g", "a", &["t"])), Ok((2, Some(vec![0, 1, 2, 3]))));
        assert_eq!(answer(&mut bench, first_beat("g", "b", &["t"])), Ok((3, Some(vec![]))));
        let of_a = ConsumerHeartbeat { member_epoch: 2, ..first_beat("g", "a", &["t"]) };
        let of_a = owning(of_a, &[0, 1, 2, 3]);
        // For two minutes the log refuses, or takes too long, so that neither hears of anything.
        bench.is_prompt = false;
        for _ in 0..24 {
            let asked = [of_a.clone(), beat("g", "b", 3)].map(|beat| bench.send(Request::ConsumerHeartbeat(beat)));
            if !is_slow {
                bench.fail_newest(AppendError::NotEnoughReplicas);
            }
            bench.advance(INTERVAL);
            for id in asked {
                let refused = bench.take(id).expect("it waits no longer for the log");
                assert!(matches!(refused, Response::ConsumerHeartbeat(Err(_))), "{refused:?}");
            }
        }
        bench.is_prompt = true;
        while !bench.in_flight.is_empty() {
            bench.make_durable();
        }
        assert_eq!(answer(&mut bench, of_a), Ok((2, Some(vec![0, 1]))), "slow: {is_slow}");
        assert_eq!(answer(&mut bench, owning(beat("g", "a", 2), &[0, 1])), Ok((3, None)));
        assert_eq!(answer(&mut bench, beat("g", "b", 3)), Ok((3, Some(vec![2, 3]))));
    }
}

#[test]
fn a_member_whose_answer_was_lost_goes_on_from_the_epoch_before() {
    let mut bench = group_of_two();
    // a is in epoch 3, and believes in 2 still.
    assert_eq!(answer(&mut bench, owning(beat("g", "a", 2), &[0, 1])), Ok((3, None)));
    assert_eq!(answer(&mut bench, owning(beat("g", "a", 2), &[2])), Err(Error::FencedMemberEpoch), "not its own");
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Err(Error::FencedMemberEpoch), "it does not say what it owns");
    assert_eq!(answer(&mut bench, owning(beat("g", "a", 1), &[0])), Err(Error::FencedMemberEpoch));
    assert_eq!(answer(&mut bench, owning(beat("g", "a", 4), &[0])), Err(Error::FencedMemberEpoch));
    // Fenced, it joins again under its id, and has what it had.
    assert_eq!(answer(&mut bench, first_beat("g", "a", &["t"])), Ok((3, Some(vec![0, 1]))));
}

#[test]
fn a_full_request_is_answered_with_the_assignment_even_if_nothing_changed() {
    let mut bench = group_of_two();
    let full = ConsumerHeartbeat { member_epoch: 3, ..owning(first_beat("g", "a", &["t"]), &[0, 1]) };
    assert_eq!(answer(&mut bench, full), Ok((3, Some(vec![0, 1]))));
    assert_eq!(answer(&mut bench, beat("g", "a", 3)), Ok((3, None)));
}

#[test]
fn a_static_member_that_is_away_keeps_its_share_and_comes_back_without_a_rebalance() {
    let mut bench = start(&[("t", 2)]);
    assert_eq!(answer(&mut bench, fixed(first_beat("g", "a1", &["t"]), "a")), Ok((2, Some(vec![0, 1]))));
    let early = fixed(first_beat("g", "a2", &["t"]), "a");
    assert_eq!(answer(&mut bench, early.clone()), Err(Error::UnreleasedInstanceId));
    let away = fixed(beat("g", "a1", LEAVE_FOR_A_WHILE), "a");
    assert_eq!(answer(&mut bench, away), Ok((LEAVE_FOR_A_WHILE, None)));
    bench.reload();
    assert_eq!(answer(&mut bench, early), Ok((2, Some(vec![0, 1]))), "the epoch of the group is the same");
    assert_eq!(answer(&mut bench, fixed(beat("g", "a1", 2), "a")), Err(Error::FencedInstanceId));
    assert_eq!(answer(&mut bench, fixed(beat("g", "x", 2), "nobody")), Err(Error::UnknownMemberId));
    assert_eq!(describe(&mut bench).members.len(), 1);
}

#[test]
fn a_static_member_that_stays_away_is_gone_after_its_session() {
    let mut bench = start(&[("t", 2)]);
    answer(&mut bench, fixed(first_beat("g", "a1", &["t"]), "a")).unwrap();
    answer(&mut bench, fixed(beat("g", "a1", LEAVE_FOR_A_WHILE), "a")).unwrap();
    bench.advance(44 * SECOND);
    assert_eq!(describe(&mut bench).members.len(), 1);
    bench.advance(2 * SECOND);
    assert_eq!(describe(&mut bench).state, ConsumerGroupState::Empty);
}

#[test]
fn answers_wait_for_the_log_with_those_that_came_before() {
    let mut bench = start(&[("t", 1)]);
    bench.is_prompt = false;
    let join = bench.send(Request::ConsumerHeartbeat(first_beat("g", "a", &["t"])));
    let idle = bench.send(Request::ConsumerHeartbeat(beat("g", "a", 2)));
    assert!(bench.take(join).is_none() && bench.take(idle).is_none(), "nothing is durable yet");
    bench.make_durable();
    let Some(Response::ConsumerHeartbeat(Ok(joined))) = bench.take(join) else { panic!() };
    assert_eq!((joined.member_epoch, joined.assignment), (2, Some(partitions("t", &[0]))));
    assert!(matches!(bench.take(idle), Some(Response::ConsumerHeartbeat(Ok(_)))));
}

#[test]
fn what_the_log_refused_is_written_with_the_next_append() {
    let mut bench = start(&[("t", 1)]);
    bench.is_prompt = false;
    let join = bench.send(Request::ConsumerHeartbeat(first_beat("g", "a", &["t"])));
    bench.fail_newest(AppendError::NotEnoughReplicas);
    let Some(Response::ConsumerHeartbeat(Err(refusal))) = bench.take(join) else { panic!() };
    assert_eq!(refusal.error, Error::CoordinatorNotAvailable);
    bench.is_prompt = true;
    assert_eq!(answer(&mut bench, first_beat("g", "a", &["t"])), Ok((2, Some(vec![0]))));
    let before = describe(&mut bench);
    bench.reload();
    assert_eq!(describe(&mut bench), before);
}

#[test]
fn answers_do_not_wait_for_a_log_that_is_stuck() {
    let mut bench = start(&[("t", 1)]);
    bench.is_prompt = false;
    let join = bench.send(Request::ConsumerHeartbeat(first_beat("g", "a", &["t"])));
    bench.advance(6 * SECOND);
    let Some(Response::ConsumerHeartbeat(Err(refusal))) = bench.take(join) else { panic!() };
    assert_eq!(refusal.error, Error::CoordinatorNotAvailable);
}

#[test]
fn another_coordinator_goes_on_where_the_first_was() {
    let mut bench = group_of_two();
    let before = describe(&mut bench);
    bench.reload();
    assert_eq!(describe(&mut bench), before);
    assert_eq!(answer(&mut bench, beat("g", "a", 3)), Ok((3, None)));
    assert_eq!(answer(&mut bench, beat("g", "b", 3)), Ok((3, None)));
}

#[test]
fn a_topic_that_grows_or_goes_begins_an_epoch_for_those_who_subscribe_to_it() {
    let mut bench = start(&[("t", 1), ("u", 1)]);
    answer(&mut bench, first_beat("g", "a", &["t", "v"])).unwrap();
    bench.tell(&[("t", 1), ("u", 2)]);
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Ok((2, None)), "u is of no interest");
    bench.tell(&[("t", 3), ("u", 2)]);
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Ok((3, Some(vec![0, 1, 2]))));
    bench.tell(&[("t", 3), ("u", 2), ("v", 1)]);
    let beat_of_v = send(&mut bench, beat("g", "a", 3)).unwrap();
    assert!(beat_of_v.assignment.unwrap().contains(topic_id("v"), 0));
    bench.tell(&[("u", 2)]);
    assert_eq!(send(&mut bench, beat("g", "a", 4)).unwrap().assignment, Some(Partitions::default()));
}

#[test]
fn a_pattern_takes_in_topics_as_they_come() {
    let mut bench = start(&[("t1", 1), ("x", 1)]);
    let join = ConsumerHeartbeat { topics: None, regex: Some("t.*".into()), ..first_beat("g", "a", &[]) };
    assert_eq!(send(&mut bench, join).unwrap().assignment, Some(partitions("t1", &[0])));
    bench.tell(&[("t1", 1), ("x", 1), ("y", 1)]);
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Ok((2, None)));
    bench.tell(&[("t1", 1), ("x", 1), ("y", 1), ("t2", 1)]);
    let assignment = send(&mut bench, beat("g", "a", 2)).unwrap().assignment.unwrap();
    assert!(assignment.len() == 2 && assignment.contains(topic_id("t2"), 0), "{assignment:?}");
    bench.reload();
    assert_eq!(answer(&mut bench, beat("g", "a", 3)), Ok((3, None)), "found again as it was stored");
    let named = ConsumerHeartbeat { topics: Some(vec!["x".into()]), regex: Some(String::new()), ..beat("g", "a", 3) };
    // The two have to be given up first.
    assert_eq!(send(&mut bench, named).unwrap().assignment, Some(Partitions::default()));
    assert_eq!(describe(&mut bench).members[0].regex, None);
}

#[test]
fn the_assignor_that_most_members_ask_for_assigns() {
    let mut bench = start(&[("t", 2), ("u", 2)]);
    let asks =
        |member: &str| ConsumerHeartbeat { assignor: Some("range".into()), ..first_beat("g", member, &["t", "u"]) };
    send(&mut bench, asks("a")).unwrap();
    assert_eq!(describe(&mut bench).assignor, "range");
    send(&mut bench, asks("b")).unwrap();
    let target: Vec<usize> = describe(&mut bench).members[0].target.iter().map(|(_, _, set)| set.len()).collect();
    assert_eq!(target, [1, 1], "one of each topic");
}

#[test]
fn a_full_group_turns_further_members_away() {
    let consumer = ConsumerConfig { max_size: 1, ..ConsumerConfig::default() };
    let mut bench = Bench::new(Config { consumer, ..Config::default() });
    bench.tell(&[("t", 1)]);
    answer(&mut bench, fixed(first_beat("g", "a", &["t"]), "i")).unwrap();
    assert_eq!(answer(&mut bench, first_beat("g", "b", &["t"])), Err(Error::GroupMaxSizeReached));
    answer(&mut bench, fixed(beat("g", "a", LEAVE_FOR_A_WHILE), "i")).unwrap();
    assert!(
        answer(&mut bench, fixed(first_beat("g", "a2", &["t"]), "i")).is_ok(),
        "it takes nobody's place but its own"
    );
}

#[test]
fn groups_of_both_kinds_are_listed_by_state_and_type() {
    let mut bench = group_of_two();
    bench.call(commit("simple", "", -1, "t1", 0, 5));
    let mut list = |states: &[&str], types: &[&str]| {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let filter = ListFilter { states: texts(states), types: texts(types) };
        let Response::List(listed) = bench.call(Request::List(filter)) else { panic!() };
        listed.into_iter().map(|group| (group.group, group.kind, group.state)).collect::<Vec<_>>()
    };
    let (consumer, simple) =
        (("g".into(), GroupKind::Consumer, "Stable"), ("simple".into(), GroupKind::Classic, "Empty"));
    assert_eq!(list(&[], &[]), [simple.clone(), consumer.clone()]);
    for (states, types) in [(vec!["stable"], vec![]), (vec![], vec!["Consumer"])] {
        assert_eq!(list(&states, &types), std::slice::from_ref(&consumer));
    }
    assert_eq!(list(&[], &["classic"]), [simple]);
    assert_eq!(list(&["Stable"], &["classic"]), []);
}

#[test]
fn a_group_is_deleted_with_its_offsets_once_it_is_empty() {
    let mut bench = group_of_two();
    assert!(matches!(bench.call(commit("g", "a", 3, "t1", 0, 5)), Response::Commit(Err(Error::UnsupportedVersion))));
    assert_eq!(bench.call(Request::Delete("g".into())), Response::Delete(Err(Error::NonEmptyGroup)));
    for member in ["a", "b"] {
        send(&mut bench, beat("g", member, LEAVE)).unwrap();
    }
    assert!(matches!(bench.call(commit("g", "", -1, "t1", 0, 5)), Response::Commit(Ok(_))), "nobody works from it");
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 0, 5)]);
    assert_eq!(bench.call(Request::Delete("g".into())), Response::Delete(Ok(())));
    bench.reload();
    assert_eq!(offsets(bench.call(fetch_all("g", true))), []);
    let Response::DescribeConsumer(found) = bench.call(Request::DescribeConsumer("g".into())) else { panic!() };
    assert_eq!(found.unwrap_err().message, "Group g not found.");
}

#[test]
fn an_empty_group_goes_once_its_offsets_are_past_their_retention() {
    let mut bench = group_of_two();
    for member in ["a", "b"] {
        send(&mut bench, beat("g", member, LEAVE)).unwrap();
    }
    bench.call(commit("g", "", -1, "t1", 0, 5));
    bench.advance(Duration::from_secs(6 * 24 * 3600));
    assert_eq!(describe(&mut bench).state, ConsumerGroupState::Empty);
    bench.advance(Duration::from_secs(2 * 24 * 3600));
    assert_eq!(offsets(bench.call(fetch_all("g", true))), []);
    bench.reload();
    let Response::List(listed) = bench.call(Request::List(ListFilter::default())) else { panic!() };
    assert_eq!(listed, []);
}
