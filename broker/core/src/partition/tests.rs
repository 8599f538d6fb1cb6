mod admission;
mod follower;
mod watermark;

use std::time::Duration;

use super::*;
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch};

const ME: BrokerId = BrokerId(1);
const FIRST: BrokerId = BrokerId(2);
const SECOND: BrokerId = BrokerId(3);
const LAG: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn term(replicas: &[i32], isr: &[i32]) -> LeaderTerm {
    let ids = |list: &[i32]| list.iter().copied().map(BrokerId).collect();
    LeaderTerm {
        leader: ME,
        leader_epoch: LeaderEpoch(4),
        partition_epoch: PartitionEpoch(9),
        replicas: ids(replicas),
        targets: replicas.len(),
        isr: ids(isr),
        unflushed: false,
    }
}

/// A later state of the same term.
fn state(partition_epoch: i32, replicas: &[i32], isr: &[i32]) -> LeaderTerm {
    LeaderTerm { partition_epoch: PartitionEpoch(partition_epoch), ..term(replicas, isr) }
}

fn position(end: i64, flushed: i64) -> LogPosition {
    LogPosition { end: Offset(end), flushed: Offset(flushed) }
}

fn leader(replicas: &[i32], isr: &[i32], durability: Durability, min_isr: usize) -> Leader {
    let mut effects = Vec::new();
    let settings = Settings { durability, min_isr };
    let leader = Leader::new(at(0), term(replicas, isr), settings, LogPosition::default(), Offset(0), &mut effects);
    assert_eq!(effects, []);
    leader
}

fn settings(durability: Durability, min_isr: usize) -> Settings {
    Settings { durability, min_isr }
}

fn run(step: impl FnOnce(&mut Vec<Effect>)) -> Vec<Effect> {
    let mut effects = Vec::new();
    step(&mut effects);
    effects
}

fn fetch(broker: BrokerId, end: i64, flushed: i64) -> FollowerFetch {
    FollowerFetch { broker, broker_epoch: BrokerEpoch(70), position: position(end, flushed), log_start: Offset(0) }
}

fn advance(to: i64) -> Effect {
    Effect::AdvanceHighWatermark { to: Offset(to) }
}

fn propose(members: &[(BrokerId, i64)]) -> Effect {
    Effect::ProposeIsr(IsrProposal {
        leader_epoch: LeaderEpoch(4),
        partition_epoch: PartitionEpoch(9),
        members: members.iter().map(|(id, epoch)| (*id, BrokerEpoch(*epoch))).collect(),
        flushed: false,
    })
}

#[test]
fn a_lone_replica_commits_at_the_append_when_replicated() {
    let mut leader = leader(&[1], &[1], Durability::Replicated, 1);
    assert_eq!(run(|e| leader.appended(Offset(5), e)), [advance(5)]);
    assert_eq!(run(|e| leader.flushed(Offset(5), e)), []);
}

#[test]
fn a_lone_replica_commits_at_the_flush_when_fsync() {
    let mut leader = leader(&[1], &[1], Durability::Fsync, 1);
    assert_eq!(run(|e| leader.appended(Offset(5), e)), [Effect::Flush]);
    assert_eq!(run(|e| leader.flushed(Offset(3), e)), [advance(3)]);
    assert_eq!(run(|e| leader.flushed(Offset(2), e)), [], "an older flush changes nothing");
    assert_eq!(run(|e| leader.flushed(Offset(5), e)), [advance(5)]);
}

#[test]
fn a_new_term_takes_the_watermark_of_a_log_that_is_flushed_already() {
    let settings = Settings { durability: Durability::Fsync, min_isr: 1 };
    let mut effects = Vec::new();
    let leader = Leader::new(at(0), term(&[1], &[1]), settings, position(8, 8), Offset(3), &mut effects);
    assert_eq!(effects, [advance(8)]);
    assert!(leader.is_established());
}

#[test]
fn the_watermark_is_the_least_of_the_in_sync_replicas() {
    let mut leader = leader(&[1, 2, 3], &[1, 2], Durability::Replicated, 1);
    assert_eq!(run(|e| leader.appended(Offset(10), e)), [Effect::WakeFollowers { log_end: Offset(10) }]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 7, 0), e)), [advance(7)]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 10, 0), e)), [advance(10)]);
}

#[test]
fn a_flush_of_the_leader_alone_commits_nothing_with_a_second_replica_in_sync() {
    let mut leader = leader(&[1, 2], &[1, 2], Durability::Fsync, 2);
    run(|e| leader.appended(Offset(4), e));
    assert_eq!(run(|e| leader.flushed(Offset(4), e)), []);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 4, 0), e)), []);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 4, 4), e)), [advance(4)]);
}

#[test]
fn the_leader_flushes_when_the_last_of_the_others_is_given_records() {
    let wake = |end| Effect::WakeFollowers { log_end: Offset(end) };
    let mut leader = leader(&[1, 2, 3], &[1, 2, 3], Durability::Fsync, 2);
    assert_eq!(run(|e| leader.appended(Offset(5), e)), [wake(5)]);
    assert_eq!(run(|e| leader.gives(FIRST, e)), []);
    assert_eq!(run(|e| leader.gives(SECOND, e)), [Effect::Flush]);
    assert_eq!(run(|e| leader.appended(Offset(8), e)), [wake(8)], "it shares the pass of what comes until both fetch");
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 5, 5), e)), []);
    assert_eq!(run(|e| leader.gives(FIRST, e)), []);
    assert_eq!(run(|e| leader.appended(Offset(9), e)), [wake(9)]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(SECOND, 5, 5), e)), []);
    assert_eq!(run(|e| leader.gives(SECOND, e)), [Effect::Flush]);
    assert_eq!(run(|e| leader.flushed(Offset(9), e)), [advance(5)]);
}

#[test]
fn a_follower_that_is_not_in_sync_or_is_dropped_holds_no_flush_back() {
    let wake = |end| Effect::WakeFollowers { log_end: Offset(end) };
    let mut leader = leader(&[1, 2, 3], &[1, 2], Durability::Fsync, 1);
    assert_eq!(run(|e| leader.appended(Offset(5), e)), [wake(5)]);
    assert_eq!(run(|e| leader.gives(SECOND, e)), [], "it does not count");
    let fsync = settings(Durability::Fsync, 1);
    let alone = state(10, &[1, 2, 3], &[1]);
    assert_eq!(run(|e| leader.state_committed(at(1), alone, fsync, e)), [Effect::Flush]);
    assert_eq!(run(|e| leader.appended(Offset(6), e)), [wake(6), Effect::Flush]);
}

#[test]
fn nothing_is_flushed_for_its_watermark_when_replicated() {
    let mut leader = leader(&[1], &[1], Durability::Replicated, 1);
    assert_eq!(run(|e| leader.appended(Offset(5), e)), [advance(5)]);
    assert_eq!(run(|e| leader.reconfigured(settings(Durability::Fsync, 1), e)), [Effect::Flush]);
}

#[test]
fn a_new_term_flushes_what_an_unclean_stop_left() {
    let fsync = settings(Durability::Fsync, 1);
    let mut effects = Vec::new();
    Leader::new(at(0), term(&[1], &[1]), fsync, position(8, 3), Offset(3), &mut effects);
    assert_eq!(effects, [Effect::Flush]);
    effects.clear();
    let mut leader = Leader::new(at(0), term(&[1, 2], &[1, 2]), fsync, position(8, 3), Offset(3), &mut effects);
    assert_eq!(effects, []);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 8, 8), e)), [Effect::Flush]);
}

#[test]
fn acks_all_is_refused_below_min_isr_and_the_watermark_stands() {
    let mut leader = leader(&[1, 2, 3], &[1], Durability::Replicated, 2);
    let refusal = Refusal::NotEnoughReplicas { isr: 1, min_isr: 2 };
    assert_eq!(leader.check_append(RequiredAcks::All), Err(refusal));
    assert_eq!(leader.check_append(RequiredAcks::Leader), Ok(()));
    assert_eq!(run(|e| leader.appended(Offset(4), e)), [Effect::WakeFollowers { log_end: Offset(4) }]);
    assert_eq!(leader.high_watermark(), Offset(0));
}

#[test]
fn min_isr_is_at_most_the_number_of_replicas() {
    let leader = leader(&[1], &[1], Durability::Fsync, 2);
    assert_eq!(leader.min_isr(), 1);
    assert_eq!(leader.check_append(RequiredAcks::All), Ok(()));
}

#[test]
fn a_proposed_member_counts_before_the_controller_answers() {
    let mut leader = leader(&[1, 2, 3], &[1, 2], Durability::Replicated, 1);
    run(|e| leader.appended(Offset(10), e));
    run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 10, 0), e));
    let effects = run(|e| leader.follower_fetched(at(1), &fetch(SECOND, 10, 0), e));
    assert_eq!(effects, [propose(&[(ME, -1), (FIRST, 70), (SECOND, 70)])]);

    run(|e| leader.appended(Offset(20), e));
    assert_eq!(run(|e| leader.follower_fetched(at(2), &fetch(FIRST, 20, 0), e)), [], "the third may be in already");
    assert_eq!(run(|e| leader.proposal_refused(at(2), e)), [advance(20)]);
}

#[test]
fn a_member_dropped_by_a_proposal_counts_until_it_is_committed() {
    let mut leader = leader(&[1, 2], &[1, 2], Durability::Replicated, 1);
    run(|e| leader.appended(Offset(10), e));
    assert_eq!(run(|e| leader.tick(at(30), LAG, e)), []);
    assert_eq!(run(|e| leader.tick(at(31), LAG, e)), [propose(&[(ME, -1)])]);
    assert_eq!(run(|e| leader.tick(at(40), LAG, e)), [], "one proposal at a time");
    assert_eq!(
        run(|e| leader.state_committed(at(41), state(10, &[1, 2], &[1]), settings(Durability::Replicated, 1), e)),
        [advance(10)]
    );
}

#[test]
fn a_follower_that_keeps_up_with_a_growing_log_stays_in_sync() {
    let mut leader = leader(&[1, 2], &[1, 2], Durability::Replicated, 1);
    for second in 1..100 {
        run(|e| leader.appended(Offset(second * 10), e));
        run(|e| leader.follower_fetched(at(second as u64), &fetch(FIRST, (second - 1) * 10, 0), e));
        assert_eq!(run(|e| leader.tick(at(second as u64), LAG, e)), []);
    }
}

#[test]
fn an_older_partition_state_and_an_older_uptime_are_ignored() {
    let mut leader = leader(&[1, 2], &[1, 2], Durability::Replicated, 1);
    run(|e| leader.appended(Offset(10), e));
    run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 5, 0), e));
    let stale = FollowerFetch { broker_epoch: BrokerEpoch(69), ..fetch(FIRST, 10, 10) };
    assert_eq!(run(|e| leader.follower_fetched(at(1), &stale, e)), []);
    assert_eq!(
        run(|e| leader.state_committed(at(1), state(9, &[1], &[1]), settings(Durability::Replicated, 1), e)),
        []
    );
    assert_eq!(leader.high_watermark(), Offset(5));
}

#[test]
fn a_single_copy_that_moves_takes_appends_and_commits_while_the_new_one_catches_up() {
    let mut leader = leader(&[1], &[1], Durability::Replicated, 2);
    let moving = LeaderTerm { targets: 1, ..state(10, &[1, 2], &[1]) };
    assert_eq!(run(|e| leader.state_committed(at(1), moving, settings(Durability::Replicated, 2), e)), []);
    assert_eq!(leader.check_append(RequiredAcks::All), Ok(()));
    let appended = run(|e| leader.appended(Offset(10), e));
    assert_eq!(appended, [Effect::WakeFollowers { log_end: Offset(10) }, advance(10)]);
}

#[test]
fn a_copy_that_is_to_stay_besides_counts_for_min_isr_at_once() {
    let mut leader = leader(&[1], &[1], Durability::Replicated, 2);
    assert_eq!(
        run(|e| leader.state_committed(at(1), state(10, &[1, 2], &[1]), settings(Durability::Replicated, 2), e)),
        []
    );
    let refused = Refusal::NotEnoughReplicas { isr: 1, min_isr: 2 };
    assert_eq!(leader.check_append(RequiredAcks::All), Err(refused));
    assert_eq!(run(|e| leader.appended(Offset(10), e)), [Effect::WakeFollowers { log_end: Offset(10) }]);
}

#[test]
fn a_follower_of_an_idle_partition_is_not_dropped_at_the_first_append_after_a_long_time() {
    let mut leader = leader(&[1, 2], &[1, 2], Durability::Replicated, 1);
    run(|e| leader.appended(Offset(5), e));
    run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 5, 0), e));
    assert_eq!(run(|e| leader.tick(at(100), LAG, e)), []);
    run(|e| leader.appended(Offset(6), e));
    assert_eq!(run(|e| leader.tick(at(101), LAG, e)), []);
    assert_eq!(run(|e| leader.tick(at(131), LAG, e)), [propose(&[(ME, -1)])], "it has stopped to fetch");
}

#[test]
fn epochs_of_clients_are_fenced() {
    let current = LeaderEpoch(4);
    assert_eq!(check_epoch(LeaderEpoch::NONE, current), Ok(()));
    assert_eq!(check_epoch(current, current), Ok(()));
    let given = LeaderEpoch(3);
    assert_eq!(check_epoch(given, current), Err(Refusal::FencedLeaderEpoch { given, current }));
    let given = LeaderEpoch(5);
    assert_eq!(check_epoch(given, current), Err(Refusal::UnknownLeaderEpoch { given, current }));
}

#[test]
fn the_controller_hears_when_all_have_flushed_what_was_committed_before_the_topic_became_fsync() {
    let mut leader = leader(&[1, 2], &[1, 2], Durability::Replicated, 2);
    run(|e| leader.appended(Offset(10), e));
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 10, 4), e)), [advance(10)]);
    let fsync = Settings { durability: Durability::Fsync, min_isr: 2 };
    let unflushed = LeaderTerm { unflushed: true, ..state(10, &[1, 2], &[1, 2]) };
    assert_eq!(run(|e| leader.state_committed(at(1), unflushed, fsync, e)), [Effect::Flush]);
    assert_eq!(run(|e| leader.tick(at(2), LAG, e)), []);
    run(|e| leader.flushed(Offset(10), e));
    assert_eq!(run(|e| leader.tick(at(2), LAG, e)), [], "the follower has not");
    run(|e| leader.appended(Offset(12), e));
    run(|e| leader.follower_fetched(at(3), &fetch(FIRST, 12, 10), e));
    let told = Effect::ProposeIsr(IsrProposal {
        leader_epoch: LeaderEpoch(4),
        partition_epoch: PartitionEpoch(10),
        members: vec![(ME, BrokerEpoch(-1)), (FIRST, BrokerEpoch(70))],
        flushed: true,
    });
    assert_eq!(run(|e| leader.tick(at(3), LAG, e)), [told]);
    assert_eq!(run(|e| leader.tick(at(4), LAG, e)), [], "once");
    assert_eq!(run(|e| leader.state_committed(at(4), state(11, &[1, 2], &[1, 2]), fsync, e)), []);
    assert_eq!(run(|e| leader.tick(at(5), LAG, e)), []);
}

#[test]
fn an_uncleanly_elected_leader_shows_no_more_than_it_has_on_its_disk() {
    let alone = LeaderTerm { unflushed: false, ..term(&[1, 2, 3], &[1]) };
    let fsync = settings(Durability::Fsync, 1);
    let begin = |term: &LeaderTerm, settings| {
        let mut effects = Vec::new();
        let leader = Leader::new(at(0), term.clone(), settings, position(13, 5), Offset(9), &mut effects);
        (leader, effects)
    };
    let (mut leader, effects) = begin(&alone, fsync);
    assert_eq!((leader.high_watermark(), leader.is_established(), effects), (Offset(5), false, vec![Effect::Flush]));
    assert_eq!(run(|e| leader.flushed(Offset(13), e)), [advance(13)]);
    let (leader, effects) = begin(&alone, settings(Durability::Replicated, 2));
    assert_eq!((leader.high_watermark(), effects), (Offset(9), vec![]));
    let unflushed = LeaderTerm { unflushed: true, ..alone };
    let (leader, effects) = begin(&unflushed, settings(Durability::Fsync, 2));
    assert_eq!(
        (leader.high_watermark(), effects),
        (Offset(9), vec![Effect::Flush]),
        "committed before the topic became fsync"
    );
}

#[test]
fn a_smaller_isr_comes_with_the_minimum_under_which_it_became_so() {
    let mut leader = leader(&[1, 2, 3], &[1, 2, 3], Durability::Replicated, 1);
    run(|e| leader.appended(Offset(10), e));
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 10, 0), e)), []);
    let raised = Settings { durability: Durability::Replicated, min_isr: 3 };
    let effects = run(|e| leader.state_committed(at(2), state(10, &[1, 2, 3], &[1, 2]), raised, e));
    assert_eq!(effects, [], "the third is eligible and has nothing of it");
}

#[test]
fn the_low_watermark_is_the_least_log_start_of_those_who_are_alive() {
    let mut leader = leader(&[1, 2, 3], &[1, 2], Durability::Replicated, 1);
    run(|e| leader.appended(Offset(10), e));
    let all = |_| true;
    assert_eq!(leader.low_watermark(Offset(7), all), Offset(-1), "nobody has said");
    run(|e| leader.follower_fetched(at(1), &FollowerFetch { log_start: Offset(7), ..fetch(FIRST, 10, 0) }, e));
    run(|e| leader.follower_fetched(at(1), &FollowerFetch { log_start: Offset(4), ..fetch(SECOND, 10, 0) }, e));
    assert_eq!(leader.low_watermark(Offset(7), all), Offset(4));
    assert_eq!(leader.low_watermark(Offset(7), |id| id != SECOND), Offset(7));
    assert_eq!((leader.log_start_of(SECOND), leader.log_start_of(ME)), (Some(Offset(4)), None));
}

#[test]
fn resigning_fails_the_waiting_produces() {
    let leader = leader(&[1], &[1], Durability::Fsync, 1);
    assert_eq!(run(|e| leader.resign(e)), [Effect::FailProduces]);
}
