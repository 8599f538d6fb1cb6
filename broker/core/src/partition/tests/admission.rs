//! Who is proposed for the in-sync set, and when.

use super::*;

#[test]
fn no_one_is_admitted_before_it_has_reached_the_start_of_the_term() {
    let settings = Settings { durability: Durability::Replicated, min_isr: 1 };
    let mut effects = Vec::new();
    let mut leader = Leader::new(at(0), term(&[1, 2, 3], &[1, 2]), settings, position(10, 0), Offset(4), &mut effects);
    assert_eq!(effects, []);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(SECOND, 9, 0), e)), [], "4 to 10 may be committed");
    assert!(!leader.is_established());
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 10, 0), e)), [advance(10)]);
    assert!(leader.is_established());
    let admitted = propose(&[(ME, -1), (FIRST, 70), (SECOND, 70)]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(SECOND, 10, 0), e)), [admitted]);
}

#[test]
fn a_new_leader_below_min_isr_moves_nothing_until_someone_has_joined() {
    let settings = Settings { durability: Durability::Fsync, min_isr: 2 };
    let mut effects = Vec::new();
    let mut leader = Leader::new(at(0), term(&[1, 2, 3], &[1]), settings, position(10, 10), Offset(4), &mut effects);
    assert_eq!(effects, [], "one replica is not enough to commit by itself");
    let admitted = propose(&[(ME, -1), (FIRST, 70)]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 10, 10), e)), [admitted]);
    assert_eq!(leader.high_watermark(), Offset(4), "a proposed member is none yet");
    assert_eq!(run(|e| leader.state_committed(at(2), state(10, &[1, 2, 3], &[1, 2]), settings, e)), [advance(10)]);
    assert!(leader.is_established());
}

#[test]
fn a_refused_admission_is_not_proposed_again_at_once() {
    let mut leader = leader(&[1, 2], &[1], Durability::Replicated, 1);
    let admitted = propose(&[(ME, -1), (FIRST, 70)]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 0, 0), e)), std::slice::from_ref(&admitted));
    assert_eq!(run(|e| leader.proposal_refused(at(1), e)), []);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 0, 0), e)), []);
    assert_eq!(run(|e| leader.follower_fetched(at(2), &fetch(FIRST, 0, 0), e)), [admitted]);
}

#[test]
fn a_member_that_a_new_state_leaves_out_is_not_proposed_again_at_once() {
    let mut leader = leader(&[1, 2], &[1], Durability::Replicated, 1);
    let settings = settings(Durability::Replicated, 1);
    let mut epoch = 9;
    let mut proposed_at = Vec::new();
    // The controller refuses each proposal by a state of a new epoch. The follower fetches every 2 ms.
    for millis in (0..1000).step_by(2) {
        let now = Duration::from_millis(millis);
        let effects = run(|e| leader.follower_fetched(now, &fetch(FIRST, 0, 0), e));
        if effects.iter().any(|effect| matches!(effect, Effect::ProposeIsr(_))) {
            proposed_at.push(millis);
            epoch += 1;
            assert_eq!(run(|e| leader.state_committed(now, state(epoch, &[1, 2], &[1]), settings, e)), []);
        }
    }
    assert_eq!(proposed_at, [0, 200, 400, 600, 800]);
}

#[test]
fn whoever_caught_up_while_another_was_proposed_is_admitted_without_a_further_word() {
    let mut leader = leader(&[1, 2, 3], &[1], Durability::Replicated, 1);
    let first = propose(&[(ME, -1), (FIRST, 70)]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 0, 0), e)), [first]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(SECOND, 0, 0), e)), [], "one proposal at a time");
    let then =
        run(|e| leader.state_committed(at(2), state(10, &[1, 2, 3], &[1, 2]), settings(Durability::Replicated, 1), e));
    let members = [(ME, BrokerEpoch(-1)), (FIRST, BrokerEpoch(70)), (SECOND, BrokerEpoch(70))].to_vec();
    let (leader_epoch, partition_epoch) = (LeaderEpoch(4), PartitionEpoch(10));
    assert_eq!(then, [Effect::ProposeIsr(IsrProposal { leader_epoch, partition_epoch, members, flushed: false })]);
}

#[test]
fn a_refused_admission_is_proposed_again_in_time_but_not_for_ever() {
    let mut leader = leader(&[1, 2, 3], &[1], Durability::Replicated, 1);
    run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 0, 0), e));
    run(|e| leader.follower_fetched(at(1), &fetch(SECOND, 0, 0), e));
    run(|e| leader.proposal_refused(at(2), e));
    let second = propose(&[(ME, -1), (SECOND, 70)]);
    assert_eq!(run(|e| leader.tick(at(3), LAG, e)), [second], "whoever was refused comes last");
    run(|e| leader.proposal_refused(at(4), e));
    assert_eq!(run(|e| leader.tick(at(5), LAG, e)), [propose(&[(ME, -1), (FIRST, 70)])]);
    run(|e| leader.proposal_refused(at(5), e));
    assert_eq!(run(|e| leader.tick(at(40), LAG, e)), [], "neither has been heard of since");
}

#[test]
fn a_member_that_the_controller_takes_out_is_not_proposed_before_it_fetches_again() {
    let mut leader = leader(&[1, 2], &[1, 2], Durability::Replicated, 1);
    run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 0, 0), e));
    assert_eq!(
        run(|e| leader.state_committed(at(2), state(10, &[1, 2], &[1]), settings(Durability::Replicated, 1), e)),
        []
    );
    assert_eq!(run(|e| leader.tick(at(3), LAG, e)), []);
}

#[test]
fn a_follower_that_has_not_flushed_what_is_committed_is_not_admitted() {
    let mut leader = leader(&[1, 2], &[1], Durability::Fsync, 1);
    run(|e| leader.appended(Offset(10), e));
    assert_eq!(run(|e| leader.flushed(Offset(10), e)), [advance(10)]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 10, 9), e)), []);
    let admitted = propose(&[(ME, -1), (FIRST, 70)]);
    assert_eq!(run(|e| leader.follower_fetched(at(1), &fetch(FIRST, 10, 10), e)), [admitted]);
}
