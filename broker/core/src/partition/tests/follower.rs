use std::time::Duration;

use super::super::*;
use crate::ids::{BrokerId, LeaderEpoch, Offset};

const TERM: FollowerTerm = FollowerTerm { leader: BrokerId(2), leader_epoch: LeaderEpoch(7) };

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn log(start: i64, end: i64, flushed: i64, last_epoch: i32) -> FollowerLog {
    let position = LogPosition { end: Offset(end), flushed: Offset(flushed) };
    FollowerLog { start: Offset(start), position, last_epoch: LeaderEpoch(last_epoch) }
}

fn follower(log: FollowerLog, high_watermark: i64) -> Follower {
    Follower::new(TERM, log, Offset(high_watermark))
}

fn answered(follower: &mut Follower, answer: Answer) -> Vec<FollowerEffect> {
    let asked = follower.next_fetch(at(0)).expect("it fetches");
    let mut effects = Vec::new();
    follower.answered(at(0), &asked, answer, &mut effects);
    effects
}

fn records(any: bool, high_watermark: i64, log_start: i64) -> Answer {
    Answer::Records { any, high_watermark: Offset(high_watermark), log_start: Offset(log_start) }
}

fn end_of(epoch: i32, end: i64) -> EpochEnd {
    EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) }
}

#[test]
fn a_follower_fetches_from_its_log_end_and_says_what_it_has_flushed() {
    let follower = follower(log(3, 10, 8, 6), 5);
    let expected = NextFetch {
        leader_epoch: LeaderEpoch(7),
        offset: Offset(10),
        last_fetched_epoch: LeaderEpoch(6),
        flushed: Offset(8),
        log_start: Offset(3),
    };
    assert_eq!(follower.next_fetch(at(0)), Some(expected));
}

#[test]
fn without_a_leader_nothing_is_fetched() {
    let term = FollowerTerm { leader: BrokerId::NONE, ..TERM };
    assert_eq!(Follower::new(term, log(0, 0, 0, -1), Offset(0)).next_fetch(at(0)), None);
}

#[test]
fn watermark_and_log_start_are_adopted_after_the_records_are_in_the_log() {
    let mut follower = follower(log(0, 10, 10, 6), 5);
    assert_eq!(answered(&mut follower, records(true, 12, 4)), [FollowerEffect::Append]);
    assert_eq!(follower.high_watermark(), Offset(5));
    let mut effects = Vec::new();
    assert_eq!(follower.lag(), 2);
    follower.appended(Offset(15), LeaderEpoch(7), &mut effects);
    assert_eq!(follower.lag(), 0);
    let advance = FollowerEffect::AdvanceHighWatermark { to: Offset(12) };
    assert_eq!(effects, [advance, FollowerEffect::AdvanceLogStart { to: Offset(4) }]);
    assert_eq!(follower.next_fetch(at(0)).unwrap().last_fetched_epoch, LeaderEpoch(7));
}

#[test]
fn the_watermark_is_at_most_the_log_end_and_never_goes_back() {
    let mut follower = follower(log(0, 10, 10, 6), 5);
    assert_eq!(answered(&mut follower, records(false, 3, 0)), []);
    let advance = FollowerEffect::AdvanceHighWatermark { to: Offset(10) };
    assert_eq!(answered(&mut follower, records(false, 99, 0)), [advance]);
}

#[test]
fn a_log_is_cut_to_the_lesser_end_of_the_common_epoch_and_not_to_the_watermark() {
    let mut one = follower(log(0, 20, 20, 6), 5);
    let diverging = Answer::Diverging { leader: end_of(5, 12), local: Some(end_of(5, 15)) };
    assert_eq!(answered(&mut one, diverging), [FollowerEffect::Truncate { to: Offset(12) }]);

    let mut one = follower(log(0, 20, 20, 6), 5);
    let diverging = Answer::Diverging { leader: end_of(5, 18), local: Some(end_of(5, 15)) };
    assert_eq!(answered(&mut one, diverging), [FollowerEffect::Truncate { to: Offset(15) }]);
}

#[test]
fn a_log_without_the_leaders_epoch_is_cut_below_it_and_compared_again() {
    // Leader: epoch 3 to 10, 5 to 30. Follower: epoch 3 to 12, 4 to 20. The leader, asked for 4, names the end of 3.
    let mut one = follower(log(0, 20, 20, 4), 5);
    let diverging = Answer::Diverging { leader: end_of(3, 10), local: Some(end_of(3, 12)) };
    assert_eq!(answered(&mut one, diverging), [FollowerEffect::Truncate { to: Offset(10) }]);

    // Leader: 1 to 5, 4 to 15, 6. Follower: 1 to 8, 5 to 20: it knows nothing of 4, so only 1 can be common.
    let mut one = follower(log(0, 20, 20, 5), 3);
    let diverging = Answer::Diverging { leader: end_of(4, 15), local: Some(end_of(1, 8)) };
    assert_eq!(answered(&mut one, diverging), [FollowerEffect::Truncate { to: Offset(8) }]);
    one.truncated(log(0, 8, 8, 1), &mut Vec::new());
    let diverging = Answer::Diverging { leader: end_of(1, 5), local: Some(end_of(1, 8)) };
    assert_eq!(answered(&mut one, diverging), [FollowerEffect::Truncate { to: Offset(5) }]);
}

#[test]
fn a_cut_lowers_what_counts_as_flushed_and_is_told_at_once() {
    let mut follower = follower(log(0, 20, 20, 6), 5);
    let mut effects = Vec::new();
    follower.truncated(log(0, 12, 12, 5), &mut effects);
    assert_eq!(effects, [FollowerEffect::Fetch]);
    let next = follower.next_fetch(at(0)).unwrap();
    assert_eq!((next.offset, next.flushed), (Offset(12), Offset(12)));
}

#[test]
fn a_flush_is_told_at_once_and_an_older_one_is_not() {
    let mut follower = follower(log(0, 20, 5, 6), 5);
    let mut effects = Vec::new();
    follower.flushed(Offset(30), &mut effects);
    assert_eq!(effects, [FollowerEffect::Fetch]);
    assert_eq!(follower.next_fetch(at(0)).unwrap().flushed, Offset(20));
    effects.clear();
    follower.flushed(Offset(20), &mut effects);
    assert_eq!(effects, []);
}

#[test]
fn a_log_that_ends_before_the_leaders_start_begins_anew_there() {
    let mut behind = follower(log(0, 20, 20, 6), 5);
    let effects = answered(&mut behind, Answer::OutOfRange { log_start: Offset(50) });
    assert_eq!(effects, [FollowerEffect::StartAnew { at: Offset(50) }]);
    behind.truncated(log(50, 50, 50, -1), &mut Vec::new());
    assert_eq!(behind.high_watermark(), Offset(50));
}

#[test]
fn a_log_with_records_is_never_dropped_because_it_is_ahead() {
    let mut ahead = follower(log(0, 20, 20, 6), 5);
    assert_eq!(answered(&mut ahead, Answer::OutOfRange { log_start: Offset(0) }), []);
    assert_eq!(ahead.next_fetch(at(9)), None);
}

#[test]
fn an_answer_to_what_is_not_asked_any_more_is_ignored() {
    let mut follower = follower(log(0, 20, 20, 6), 5);
    let asked = follower.next_fetch(at(0)).unwrap();
    follower.appended(Offset(30), LeaderEpoch(7), &mut Vec::new());
    let mut effects = Vec::new();
    follower.answered(at(0), &asked, records(true, 30, 0), &mut effects);
    assert_eq!(effects, []);
}

#[test]
fn an_answer_counts_though_a_flush_came_between() {
    let mut follower = follower(log(0, 20, 10, 6), 5);
    let asked = follower.next_fetch(at(0)).unwrap();
    follower.flushed(Offset(20), &mut Vec::new());
    let mut effects = Vec::new();
    follower.answered(at(0), &asked, records(true, 30, 0), &mut effects);
    assert_eq!(effects, [FollowerEffect::Append]);
}

#[test]
fn failures_pause_longer_each_time_and_a_good_answer_ends_them() {
    let mut follower = follower(log(0, 20, 20, 6), 5);
    assert_eq!(answered(&mut follower, Answer::Failed), []);
    assert_eq!(follower.resumes_at(), Some(at(10)));
    assert!(follower.next_fetch(at(10)).is_some());
    follower.failed(at(10));
    assert_eq!(follower.resumes_at(), Some(at(30)));
    for _ in 0..10 {
        follower.failed(at(100));
    }
    assert_eq!(follower.resumes_at(), Some(at(600)));
    let asked = follower.next_fetch(at(600)).unwrap();
    follower.answered(at(600), &asked, records(false, 5, 0), &mut Vec::new());
    assert_eq!(follower.resumes_at(), None);
}

#[test]
fn a_stopped_follower_is_at_rest() {
    let mut follower = follower(log(0, 20, 20, 6), 5);
    follower.stop();
    assert_eq!((follower.next_fetch(at(0)), follower.resumes_at()), (None, None));
}

#[test]
fn a_session_names_news_and_whatever_is_not_in_sync() {
    let mut follower = follower(log(0, 5, 5, 7), 5);
    let first = follower.next_fetch(at(0)).expect("it fetches");
    assert!(first.is_to_be_named(None, true), "the leader knows nothing of it");
    assert!(!first.is_to_be_named(Some(&first), true));
    assert!(first.is_to_be_named(Some(&first), false), "the leader is to admit it");
    follower.appended(Offset(6), LeaderEpoch(7), &mut Vec::new());
    let next = follower.next_fetch(at(0)).expect("it fetches");
    assert!(next.is_to_be_named(Some(&first), true));
}
