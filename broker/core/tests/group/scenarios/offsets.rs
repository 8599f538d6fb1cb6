//! Committed offsets.

use super::*;

#[test]
fn an_offset_is_seen_once_durable_and_a_stable_fetch_waits_for_it() {
    let mut bench = Bench::without_delay();
    bench.is_prompt = false;
    let committed = bench.send(commit("g", "", -1, "t1", 0, 5));
    assert_eq!(offsets(bench.call(fetch_all("g", false))), []);
    let stable = bench.send(fetch_all("g", true));
    assert_eq!((bench.take(committed), bench.take(stable)), (None, None));
    bench.make_durable();
    assert!(matches!(bench.take(committed), Some(Response::Commit(Ok(_)))));
    assert_eq!(offsets(bench.take(stable).unwrap()), [("t1".to_owned(), 0, 5)]);
}

#[test]
fn answers_stop_waiting_for_a_slow_append_but_its_offsets_still_count() {
    let mut bench = Bench::without_delay();
    bench.is_prompt = false;
    let committed = bench.send(commit("g", "", -1, "t1", 0, 5));
    bench.advance(5 * SECOND);
    assert_eq!(bench.take(committed), Some(Response::Commit(Err(Error::CoordinatorNotAvailable))));
    let stable = bench.send(fetch_all("g", true));
    bench.advance(5 * SECOND);
    assert_eq!(bench.take(stable), Some(Response::FetchOffsets(Err(Error::CoordinatorNotAvailable))));
    bench.make_durable();
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 0, 5)]);
}

#[test]
fn a_commit_of_a_stale_generation_or_in_the_midst_of_a_rebalance_is_refused() {
    let mut bench = Bench::without_delay();
    let (a_id, b_id) = group_of_two(&mut bench);
    let refused = |bench: &mut Bench, member: &str, generation| {
        let Response::Commit(result) = bench.call(commit("g", member, generation, "t1", 0, 1)) else { panic!() };
        result.unwrap_err()
    };
    assert_eq!(refused(&mut bench, &a_id, 1), Error::IllegalGeneration);
    assert_eq!(refused(&mut bench, "", -1), Error::UnknownMemberId);
    bench.send(Request::Join(join("g", &a_id, 0)));
    bench.send(Request::Join(join("g", &b_id, 0)));
    assert_eq!(refused(&mut bench, &a_id, 3), Error::RebalanceInProgress);
}

#[test]
fn offsets_of_a_consumed_topic_cannot_be_deleted_and_others_can() {
    let mut bench = Bench::without_delay();
    let (a_id, _) = group_of_two(&mut bench);
    bench.call(commit("g", &a_id, 2, "t1", 0, 1));
    bench.call(commit("g", &a_id, 2, "t2", 0, 1));
    let topics = vec![(topic("t1"), vec![0]), (topic("t2"), vec![0])];
    let delete = Request::DeleteOffsets(DeleteOffsets { group: "g".into(), topics });
    let Response::DeleteOffsets(Ok(results)) = bench.call(delete) else { panic!() };
    assert_eq!(results[0].1, [(0, Err(Error::GroupSubscribedToTopic))]);
    assert_eq!(results[1].1, [(0, Ok(()))]);
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 0, 1)]);
}

#[test]
fn deleting_a_group_takes_offsets_with_it_that_were_still_on_their_way() {
    let mut bench = Bench::without_delay();
    bench.is_prompt = false;
    bench.send(commit("g", "", -1, "t1", 0, 5));
    bench.make_durable();
    bench.send(commit("g", "", -1, "t1", 1, 6));
    let deleted = bench.send(Request::Delete("g".into()));
    bench.make_durable();
    bench.make_durable();
    assert_eq!(bench.take(deleted), Some(Response::Delete(Ok(()))));
    assert_eq!(state(&mut bench, "g"), None);
    bench.reload();
    assert_eq!(state(&mut bench, "g"), None);
    assert_eq!(offsets(bench.call(fetch_all("g", true))), []);
}

#[test]
fn offsets_of_deleted_topics_go() {
    let mut bench = Bench::without_delay();
    bench.call(commit("g", "", -1, "t1", 0, 5));
    bench.call(commit("g", "", -1, "t2", 0, 6));
    bench.tell(&[("t1", 1), ("t2", 1)]);
    bench.tell(&[("t2", 1)]);
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t2".to_owned(), 0, 6)]);
}

#[test]
fn offsets_outlive_the_last_member_by_the_retention() {
    let mut bench = Bench::without_delay();
    let (a_id, b_id) = group_of_two(&mut bench);
    bench.call(commit("g", &a_id, 2, "t1", 0, 5));
    let day = Duration::from_secs(24 * 3600);
    for _ in 0..10 * 24 * 3600 / 8 {
        bench.advance(8 * SECOND);
        bench.call(heartbeat("g", &a_id, 2));
        bench.call(heartbeat("g", &b_id, 2));
    }
    bench.call(leave("g", &a_id));
    bench.call(leave("g", &b_id));
    assert_eq!(state(&mut bench, "g"), Some(GroupState::Empty));
    bench.advance(6 * day);
    bench.reload();
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 0, 5)]);
    bench.advance(day + Duration::from_secs(1200));
    assert_eq!(state(&mut bench, "g"), None, "the group goes with its last offset");
}

#[test]
fn a_simple_consumers_offset_lives_from_its_last_commit() {
    let mut bench = Bench::without_delay();
    let day = Duration::from_secs(24 * 3600);
    bench.call(commit("g", "", -1, "t1", 0, 5));
    bench.advance(4 * day);
    bench.call(commit("g", "", -1, "t1", 1, 6));
    bench.advance(4 * day);
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t1".to_owned(), 1, 6)]);
}
