//! One behaviour of the coordinator per test.

mod offsets;

use std::time::Duration;

use ottla_core::coordinator::AppendError;
use ottla_core::group::{
    Config, DeleteOffsets, Error, GroupState, Join, Leave, ListFilter, MemberIdentity, Protocol, Request, Response,
};

use super::bench::{Bench, topic};
use super::requests::{commit, fetch_all, heartbeat, join, leave, offsets, static_join, subscription, sync};

const SECOND: Duration = Duration::from_secs(1);

fn state(bench: &mut Bench, group: &str) -> Option<GroupState> {
    let Response::Describe(described) = bench.call(Request::Describe(group.into())) else { panic!() };
    described.ok().map(|described| described.state)
}

fn assignment(response: Option<Response>) -> String {
    match response {
        Some(Response::Sync(Ok(synced))) => String::from_utf8(synced.assignment.to_vec()).unwrap(),
        other => panic!("no assignment but {other:?}"),
    }
}

/// A stable group of `a` (the leader) and `b` in generation 2; returns their ids.
fn group_of_two(bench: &mut Bench) -> (String, String) {
    let a = bench.send(Request::Join(join("g", "", 1)));
    let a_id = bench.take_join(a).member_id;
    bench.call(sync("g", &a_id, 1, &[]));
    let b = bench.send(Request::Join(join("g", "", 2)));
    let a = bench.send(Request::Join(join("g", &a_id, 0)));
    assert_eq!(bench.take_join(a).result.unwrap().generation, 2);
    let b_id = bench.take_join(b).member_id;
    let b_sync = bench.send(sync("g", &b_id, 2, &[]));
    let a_sync = bench.send(sync("g", &a_id, 2, &[(&a_id, "for a"), (&b_id, "for b")]));
    assert_eq!(assignment(bench.take(a_sync)), "for a");
    assert_eq!(assignment(bench.take(b_sync)), "for b");
    (a_id, b_id)
}

#[test]
fn a_client_that_knows_required_ids_joins_in_two_steps_and_is_alone_without_delay() {
    let mut bench = Bench::without_delay();
    let first = Join { requires_known_member_id: true, ..join("g", "", 1) };
    let Response::Join(told) = bench.call(Request::Join(first)) else { panic!() };
    assert_eq!(told.result, Err(Error::MemberIdRequired));
    let Response::Join(joined) = bench.call(Request::Join(join("g", &told.member_id, 0))) else { panic!() };
    let generation = joined.result.unwrap();
    assert_eq!((generation.generation, generation.leader), (1, told.member_id));
}

#[test]
fn an_empty_group_waits_for_more_members_and_longer_when_they_come() {
    let mut bench = Bench::new(Config::default());
    let a = bench.send(Request::Join(join("g", "", 1)));
    bench.advance(2 * SECOND);
    let b = bench.send(Request::Join(join("g", "", 2)));
    bench.advance(2 * SECOND);
    assert_eq!(bench.take(a), None, "the delay was extended by the second member");
    bench.advance(2 * SECOND);
    assert_eq!(bench.take_join(a).result.unwrap().members.len(), 2);
    assert_eq!(bench.take_join(b).result.unwrap().members.len(), 0, "only the leader sees the members");
}

#[test]
fn an_id_that_was_given_out_and_never_used_holds_a_rebalance_up_for_its_session_only() {
    let mut bench = Bench::without_delay();
    let (a_id, b_id) = group_of_two(&mut bench);
    bench.call(Request::Join(Join { requires_known_member_id: true, ..join("g", "", 3) }));
    let a = bench.send(Request::Join(join("g", &a_id, 0)));
    let b = bench.send(Request::Join(join("g", &b_id, 0)));
    bench.advance(9 * SECOND);
    assert_eq!(bench.take(a), None);
    bench.advance(SECOND);
    assert_eq!(bench.take_join(a).result.unwrap().generation, 3);
    assert_eq!(bench.take_join(b).result.unwrap().generation, 3);
}

#[test]
fn a_member_that_stops_sending_heartbeats_is_out_after_its_session() {
    let mut bench = Bench::without_delay();
    let (a_id, b_id) = group_of_two(&mut bench);
    bench.advance(9 * SECOND);
    assert_eq!(bench.call(heartbeat("g", &a_id, 2)), Response::Heartbeat(Ok(())));
    bench.advance(2 * SECOND);
    assert_eq!(bench.call(heartbeat("g", &a_id, 2)), Response::Heartbeat(Err(Error::RebalanceInProgress)));
    assert_eq!(bench.call(heartbeat("g", &b_id, 2)), Response::Heartbeat(Err(Error::UnknownMemberId)));
    let Response::Join(alone) = bench.call(Request::Join(join("g", &a_id, 0))) else { panic!() };
    assert_eq!(alone.result.unwrap().members.len(), 1);
}

#[test]
fn a_process_that_stood_still_gives_members_their_session_again() {
    let mut bench = Bench::without_delay();
    let (a_id, _) = group_of_two(&mut bench);
    bench.clock += 60 * SECOND;
    bench.handle(ottla_core::group::Event::Note(ottla_core::group::Note::Stalled));
    bench.advance(9 * SECOND);
    assert_eq!(bench.call(heartbeat("g", &a_id, 2)), Response::Heartbeat(Ok(())));
}

#[test]
fn a_member_that_does_not_rejoin_in_the_rebalance_timeout_is_out() {
    let mut bench = Bench::without_delay();
    let (a_id, b_id) = group_of_two(&mut bench);
    let a = bench.send(Request::Join(join("g", &a_id, 0)));
    for _ in 0..12 {
        assert_eq!(bench.call(heartbeat("g", &b_id, 2)), Response::Heartbeat(Err(Error::RebalanceInProgress)));
        bench.advance(5 * SECOND);
    }
    assert_eq!(bench.take_join(a).result.unwrap().members.len(), 1, "b only sent heartbeats");
    assert_eq!(bench.call(heartbeat("g", &b_id, 2)), Response::Heartbeat(Err(Error::UnknownMemberId)));
}

#[test]
fn a_member_that_joined_but_never_syncs_is_out_after_the_rebalance_timeout() {
    let mut bench = Bench::without_delay();
    let (a_id, b_id) = group_of_two(&mut bench);
    let a = bench.send(Request::Join(join("g", &a_id, 0)));
    let b = bench.send(Request::Join(join("g", &b_id, 0)));
    assert!(bench.take_join(a).result.is_ok() && bench.take_join(b).result.is_ok());
    // The leader a never assigns; b waits, both keep their sessions.
    let waiting = bench.send(sync("g", &b_id, 3, &[]));
    for _ in 0..12 {
        bench.call(heartbeat("g", &a_id, 3));
        bench.advance(5 * SECOND);
    }
    assert_eq!(bench.take(waiting), Some(Response::Sync(Err(Error::RebalanceInProgress))));
    assert_eq!(bench.call(heartbeat("g", &a_id, 3)), Response::Heartbeat(Err(Error::UnknownMemberId)));
    let Response::Join(b) = bench.call(Request::Join(join("g", &b_id, 0))) else { panic!() };
    assert_eq!(b.result.unwrap().leader, b_id);
}

#[test]
fn the_protocol_is_the_one_that_most_members_like_best_among_the_common_ones() {
    let mut bench = Bench::new(Config::default());
    let protocols = |names: &[&str]| {
        names.iter().map(|name| Protocol { name: (*name).into(), metadata: subscription(&[]) }).collect::<Vec<_>>()
    };
    let wishes = [&["x", "y", "only-a"][..], &["y", "x"], &["y", "x", "only-c"]];
    let joins: Vec<_> = wishes
        .iter()
        .enumerate()
        .map(|(i, w)| bench.send(Request::Join(Join { protocols: protocols(w), ..join("g", "", i as u128) })))
        .collect();
    bench.advance(60 * SECOND);
    for id in joins {
        assert_eq!(bench.take_join(id).result.unwrap().protocol.as_deref(), Some("y"));
    }
}

#[test]
fn a_cooperative_rebalance_keeps_the_followers_assignment_while_the_leader_rejoins() {
    let mut bench = Bench::without_delay();
    let (a_id, b_id) = group_of_two(&mut bench);
    // A follower that rejoins unchanged gets the current generation again; the leader begins a new one.
    let Response::Join(same) = bench.call(Request::Join(join("g", &b_id, 0))) else { panic!() };
    assert_eq!(same.result.unwrap().generation, 2);
    let a = bench.send(Request::Join(join("g", &a_id, 0)));
    // b commits in its old generation while the others join: cooperative members work on.
    let committed = bench.call(commit("g", &b_id, 2, "t1", 0, 5));
    assert!(matches!(committed, Response::Commit(Ok(_))), "{committed:?}");
    let b = bench.send(Request::Join(join("g", &b_id, 0)));
    assert_eq!(bench.take_join(a).result.unwrap().generation, 3);
    assert_eq!(bench.take_join(b).result.unwrap().generation, 3);
}

#[test]
fn a_static_member_that_restarts_keeps_its_assignment_without_a_rebalance_and_its_old_self_is_fenced() {
    let mut bench = Bench::without_delay();
    let Response::Join(first) = bench.call(Request::Join(static_join("g", "i1", 1))) else { panic!() };
    bench.call(sync("g", &first.member_id, 1, &[(&first.member_id, "mine")]));
    let Response::Join(second) = bench.call(Request::Join(static_join("g", "i1", 2))) else { panic!() };
    let generation = second.result.unwrap();
    assert_eq!((generation.generation, generation.skip_assignment), (1, true));
    assert_ne!(first.member_id, second.member_id);
    let id = bench.send(sync("g", &second.member_id, 1, &[]));
    assert_eq!(assignment(bench.take(id)), "mine");
    let Request::Heartbeat(mut old) = heartbeat("g", &first.member_id, 1) else { panic!() };
    old.instance_id = Some("i1".into());
    assert_eq!(bench.call(Request::Heartbeat(old)), Response::Heartbeat(Err(Error::FencedInstanceId)));
    // The new id is what another coordinator knows.
    bench.reload();
    assert_eq!(bench.call(heartbeat("g", &second.member_id, 1)), Response::Heartbeat(Ok(())));
}

#[test]
fn an_older_client_that_replaces_the_leader_is_not_told_that_it_leads() {
    let mut bench = Bench::without_delay();
    let Response::Join(first) = bench.call(Request::Join(static_join("g", "i1", 1))) else { panic!() };
    bench.call(sync("g", &first.member_id, 1, &[]));
    let old_client = Join { supports_skipping_assignment: false, ..static_join("g", "i1", 2) };
    let Response::Join(second) = bench.call(Request::Join(old_client)) else { panic!() };
    let generation = second.result.unwrap();
    assert_eq!((generation.leader, generation.members.len()), (first.member_id, 0));
}

#[test]
fn a_static_member_is_removed_by_its_instance_id() {
    let mut bench = Bench::without_delay();
    let Response::Join(first) = bench.call(Request::Join(static_join("g", "i1", 1))) else { panic!() };
    let by_instance = |instance: &str| {
        let members = vec![MemberIdentity { member_id: String::new(), instance_id: Some(instance.into()) }];
        Request::Leave(Leave { group: "g".into(), members })
    };
    let Response::Leave(Ok(left)) = bench.call(by_instance("other")) else { panic!() };
    assert_eq!(left[0].result, Err(Error::UnknownMemberId));
    let Response::Leave(Ok(left)) = bench.call(by_instance("i1")) else { panic!() };
    assert_eq!(left[0].result, Ok(()));
    assert_eq!(bench.call(heartbeat("g", &first.member_id, 1)), Response::Heartbeat(Err(Error::UnknownMemberId)));
    assert_eq!(state(&mut bench, "g"), Some(GroupState::Empty));
}

#[test]
fn a_full_group_turns_further_members_away() {
    let config = Config { max_size: 2, initial_rebalance_delay: Duration::ZERO, ..Config::default() };
    let mut bench = Bench::new(config);
    group_of_two(&mut bench);
    let Response::Join(third) = bench.call(Request::Join(join("g", "", 3))) else { panic!() };
    assert_eq!(third.result, Err(Error::GroupMaxSizeReached));
}

#[test]
fn an_assignment_is_handed_out_only_when_it_is_durable_and_only_the_first_one_counts() {
    let mut bench = Bench::without_delay();
    let Response::Join(a) = bench.call(Request::Join(join("g", "", 1))) else { panic!() };
    bench.is_prompt = false;
    let first = bench.send(sync("g", &a.member_id, 1, &[(&a.member_id, "one")]));
    let again = bench.send(sync("g", &a.member_id, 1, &[(&a.member_id, "two")]));
    assert_eq!(bench.take(first), Some(Response::Sync(Err(Error::RebalanceInProgress))), "given up by the client");
    assert_eq!(bench.in_flight.len(), 1);
    bench.make_durable();
    assert_eq!(assignment(bench.take(again)), "one");
}

#[test]
fn a_generation_that_cannot_be_stored_is_followed_by_another() {
    let mut bench = Bench::without_delay();
    let Response::Join(a) = bench.call(Request::Join(join("g", "", 1))) else { panic!() };
    bench.is_prompt = false;
    let id = bench.send(sync("g", &a.member_id, 1, &[(&a.member_id, "one")]));
    bench.fail_newest(AppendError::NotEnoughReplicas);
    assert_eq!(bench.take(id), Some(Response::Sync(Err(Error::CoordinatorNotAvailable))));
    let Response::Join(a) = bench.call(Request::Join(join("g", &a.member_id, 0))) else { panic!() };
    assert_eq!(a.result.unwrap().generation, 2);
}

#[test]
fn a_stable_group_and_its_offsets_are_the_same_after_a_reload() {
    let mut bench = Bench::without_delay();
    let (a_id, b_id) = group_of_two(&mut bench);
    bench.call(commit("g", &b_id, 2, "t1", 3, 9));
    let before = bench.call(Request::Describe("g".into()));
    bench.reload();
    assert_eq!(bench.call(Request::Describe("g".into())), before);
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 3, 9)]);
    assert_eq!(bench.call(heartbeat("g", &a_id, 2)), Response::Heartbeat(Ok(())));
    bench.advance(11 * SECOND);
    assert_eq!(bench.call(heartbeat("g", &b_id, 2)), Response::Heartbeat(Err(Error::UnknownMemberId)));
}

#[test]
fn parked_requests_are_refused_when_the_coordinator_moves() {
    let mut bench = Bench::without_delay();
    let (a_id, _) = group_of_two(&mut bench);
    let parked = bench.send(Request::Join(join("g", &a_id, 0)));
    bench.is_prompt = false;
    let committed = bench.send(commit("other", "", -1, "t1", 0, 1));
    let stable = bench.send(fetch_all("other", true));
    bench.reload();
    assert_eq!(bench.take_join(parked).result, Err(Error::NotCoordinator));
    assert_eq!(bench.take(committed), Some(Response::Commit(Err(Error::NotCoordinator))));
    assert_eq!(bench.take(stable), Some(Response::FetchOffsets(Err(Error::NotCoordinator))));
}

#[test]
fn groups_are_listed_by_state_and_type_without_regard_to_case() {
    let mut bench = Bench::without_delay();
    group_of_two(&mut bench);
    bench.call(commit("simple", "", -1, "t1", 0, 1));
    let listed = |bench: &mut Bench, states: &[&str], types: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let Response::List(groups) = bench.call(Request::List(ListFilter { states: own(states), types: own(types) }))
        else {
            panic!()
        };
        groups.into_iter().map(|listed| listed.group).collect::<Vec<_>>()
    };
    assert_eq!(listed(&mut bench, &[], &[]), ["g", "simple"]);
    assert_eq!(listed(&mut bench, &["EMPTY"], &["Classic"]), ["simple"]);
    assert_eq!(listed(&mut bench, &[], &["consumer"]), [""; 0]);
}
