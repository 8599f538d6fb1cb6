//! Share groups (KIP-932), one behaviour per test, by the exact answers and calls.

use std::time::Duration;

use ottla_core::Offset;
use ottla_core::coordinator::AppendError;
use ottla_core::group::{
    AlterShareOffsets, AskStates, Config, DeleteShareOffsets, DescribedShareGroup, Error, GroupCounts, GroupKind,
    LEAVE, ListFilter, Partitions, Refusal, Request, Response, ShareConfig, ShareGroupState, ShareHeartbeat,
};

use super::bench::{Bench, assigning_every, topic_id};
use super::requests::{beat, commit, first_beat, first_share_beat, join, partitions, share_beat};

const INTERVAL: Duration = Duration::from_secs(5);

fn start(topics: &[(&str, i32)]) -> Bench {
    let mut bench = Bench::without_delay();
    bench.tell(topics);
    bench
}

/// Epoch and, if it was told, assignment.
fn answer(bench: &mut Bench, heartbeat: ShareHeartbeat) -> Result<(i32, Option<Partitions>), Error> {
    match bench.call(Request::ShareHeartbeat(heartbeat)) {
        Response::ShareHeartbeat(Ok(beat)) => Ok((beat.member_epoch, beat.assignment)),
        Response::ShareHeartbeat(Err(refusal)) => Err(refusal.error),
        other => panic!("no heartbeat but {other:?}"),
    }
}

fn told(epoch: i32, indexes: &[i32]) -> Result<(i32, Option<Partitions>), Error> {
    Ok((epoch, Some(partitions("t", indexes))))
}

fn describe(bench: &mut Bench) -> Result<DescribedShareGroup, Refusal> {
    match bench.call(Request::DescribeShare("g".into())) {
        Response::DescribeShare(found) => found,
        other => panic!("no group but {other:?}"),
    }
}

fn initialized(bench: &mut Bench) -> Partitions {
    match bench.call(Request::SharePartitions("g".into())) {
        Response::SharePartitions(found) => found,
        other => panic!("no partitions but {other:?}"),
    }
}

fn initializes(epoch: i32, offsets: &[(i32, i64)]) -> AskStates {
    let partitions = offsets.iter().map(|(index, offset)| (topic_id("t"), *index, Offset(*offset))).collect();
    AskStates::Initialize { epoch, partitions }
}

fn alter(offsets: &[(i32, i64)]) -> Request {
    let offsets = offsets.iter().map(|(index, offset)| (*index, Offset(*offset))).collect();
    Request::AlterShareOffsets(AlterShareOffsets { group: "g".into(), topics: vec![("t".into(), offsets)] })
}

fn delete_offsets(topics: &[&str]) -> Request {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Request::DeleteShareOffsets(DeleteShareOffsets { group: "g".into(), topics })
}

/// A member `a` in epoch 3 with both partitions of `t`.
fn group_of_one() -> Bench {
    let mut bench = start(&[("t", 2)]);
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(2, &[]));
    assert_eq!(bench.answer_call(Ok(())).ask, initializes(2, &[(0, -1), (1, -1)]));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 2)), told(3, &[0, 1]));
    assert!(bench.calls.is_empty());
    bench
}

/// The same after `a` has left.
fn empty_group() -> Bench {
    let mut bench = group_of_one();
    assert_eq!(answer(&mut bench, share_beat("g", "a", LEAVE)), Ok((LEAVE, None)));
    assert_eq!(describe(&mut bench).map(|group| (group.state, group.epoch)), Ok((ShareGroupState::Empty, 4)));
    bench
}

#[test]
fn a_partition_is_assigned_once_it_has_a_state_and_to_all_if_there_are_fewer_partitions() {
    let mut bench = group_of_one();
    assert_eq!(answer(&mut bench, share_beat("g", "a", 3)), Ok((3, None)), "nothing new");
    assert_eq!(answer(&mut bench, first_share_beat("g", "b", &["t"])), told(4, &[1]));
    assert_eq!(answer(&mut bench, first_share_beat("g", "c", &["t"])).map(|(epoch, _)| epoch), Ok(5));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 3)).map(|(epoch, _)| epoch), Ok(5), "two epochs further");
    let found = describe(&mut bench).unwrap();
    assert_eq!((found.state, found.assignor, found.members.len()), (ShareGroupState::Stable, "simple", 3));
    assert!(bench.calls.is_empty(), "every partition has a state");
}

#[test]
fn targets_are_made_when_the_interval_since_those_before_is_over_and_one_epoch_waits_for_it() {
    let mut bench = Bench::new(assigning_every(Duration::from_secs(1)));
    bench.tell(&[("t", 2)]);
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(2, &[]));
    bench.answer_call(Ok(()));
    for _ in 0..3 {
        assert_eq!(answer(&mut bench, share_beat("g", "a", 2)), Ok((2, None)));
        assert_eq!(describe(&mut bench).map(|group| (group.epoch, group.assignment_epoch)), Ok((3, 2)));
    }
    bench.advance(Duration::from_secs(1));
    assert_eq!(describe(&mut bench).map(|group| (group.epoch, group.assignment_epoch)), Ok((3, 3)));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 2)), told(3, &[0, 1]));
    assert_eq!(answer(&mut bench, first_share_beat("g", "b", &["t"])), told(3, &[]));
    bench.reload();
    bench.advance(Duration::from_secs(1));
    assert_eq!(answer(&mut bench, share_beat("g", "b", 3)), told(4, &[1]));
}

#[test]
fn a_state_that_could_not_be_made_is_asked_for_again_and_one_under_way_is_not() {
    let mut bench = start(&[("t", 1)]);
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(2, &[]));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 2)), Ok((2, None)));
    assert_eq!(bench.calls.len(), 1);
    bench.answer_call(Err(Error::CoordinatorNotAvailable));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 2)), Ok((2, None)));
    bench.answer_call(Ok(()));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 2)), told(3, &[0]));
}

#[test]
fn no_state_is_made_before_the_record_that_tells_of_it_is_durable() {
    let mut bench = start(&[("t", 1)]);
    bench.is_prompt = false;
    let first = bench.send(Request::ShareHeartbeat(first_share_beat("g", "a", &["t"])));
    assert!(bench.calls.is_empty() && bench.take(first).is_none());
    bench.fail_newest(AppendError::NotEnoughReplicas);
    let refused = Response::ShareHeartbeat(Err(Error::CoordinatorNotAvailable.into()));
    assert_eq!((bench.take(first), bench.calls.len()), (Some(refused), 0));
    bench.is_prompt = true;
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(2, &[]));
    bench.answer_call(Ok(()));
    bench.reload();
    assert_eq!(answer(&mut bench, share_beat("g", "a", 2)), told(3, &[0]), "the log has the whole group");
}

#[test]
fn states_and_members_outlive_a_move_and_what_was_under_way_is_begun_anew() {
    let mut bench = group_of_one();
    bench.tell(&[("t", 3)]);
    assert_eq!(answer(&mut bench, share_beat("g", "a", 3)).map(|(epoch, _)| epoch), Ok(4));
    bench.compact();
    bench.reload();
    assert!(bench.calls.is_empty());
    assert_eq!(answer(&mut bench, share_beat("g", "a", 4)), Ok((4, None)));
    assert_eq!(bench.answer_call(Ok(())).ask, initializes(4, &[(2, -1)]));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 4)), told(5, &[0, 1, 2]));
}

#[test]
fn a_member_that_is_silent_for_its_session_is_gone_and_one_that_leaves_at_once() {
    let mut bench = group_of_one();
    assert_eq!(answer(&mut bench, first_share_beat("g", "b", &["t"])), told(4, &[1]));
    for _ in 0..9 {
        bench.advance(INTERVAL);
        answer(&mut bench, share_beat("g", "b", 4)).ok();
    }
    assert_eq!(answer(&mut bench, share_beat("g", "a", 3)), Err(Error::UnknownMemberId));
    assert_eq!(describe(&mut bench).unwrap().members.len(), 1);
    assert_eq!(answer(&mut bench, share_beat("g", "b", LEAVE)), Ok((LEAVE, None)));
    assert_eq!(answer(&mut bench, share_beat("g", "b", LEAVE)), Err(Error::UnknownMemberId));
    assert_eq!(describe(&mut bench).unwrap().state, ShareGroupState::Empty);
}

#[test]
fn members_go_on_from_their_epoch_or_the_one_before() {
    let mut bench = group_of_one();
    assert_eq!(answer(&mut bench, share_beat("g", "a", 2)), Ok((3, None)), "the answer may have been lost");
    assert_eq!(answer(&mut bench, share_beat("g", "a", 1)), Err(Error::FencedMemberEpoch));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 4)), Err(Error::FencedMemberEpoch));
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(3, &[0, 1]), "it joins once more");
    assert_eq!(answer(&mut bench, share_beat("g", "a", -2)), Err(Error::InvalidRequest));
}

#[test]
fn a_full_group_takes_nobody_in() {
    let share = ShareConfig { max_size: 1, ..ShareConfig::default() };
    let mut bench = Bench::new(Config { share, ..Config::default() });
    bench.tell(&[("t", 1)]);
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(2, &[]));
    assert_eq!(answer(&mut bench, first_share_beat("g", "b", &["t"])), Err(Error::GroupMaxSizeReached));
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(2, &[]));
}

#[test]
fn groups_are_counted_by_kind_and_state_with_their_offsets() {
    let mut bench = group_of_one();
    bench.call(commit("simple", "", -1, "t", 0, 5));
    bench.call(commit("simple", "", -1, "t", 1, 6));
    bench.call(Request::ConsumerHeartbeat(first_beat("c", "m", &["t"])));
    answer(&mut bench, first_share_beat("left", "a", &["t"])).unwrap();
    answer(&mut bench, share_beat("left", "a", LEAVE)).unwrap();
    let Response::Count(counts) = bench.call(Request::Count) else { panic!() };
    let twice: GroupCounts = [counts.clone(), counts.clone()].into_iter().collect();
    for (counts, times) in [(counts, 1), (twice, 2)] {
        let found: Vec<_> = GroupKind::ALL
            .into_iter()
            .flat_map(|kind| kind.states().iter().map(move |state| (kind, *state)))
            .map(|(kind, state)| (kind.name(), state, counts.in_state(kind, state)))
            .filter(|(_, _, count)| *count > 0)
            .collect();
        assert_eq!(
            found,
            [
                ("classic", "Empty", times),
                ("consumer", "Stable", times),
                ("share", "Empty", times),
                ("share", "Stable", times)
            ]
        );
        assert_eq!((counts.of(GroupKind::Share), counts.offsets), (2 * times, 2 * times));
    }
}

#[test]
fn an_id_belongs_to_one_kind_of_group() {
    let mut bench = group_of_one();
    let consumer = Request::ConsumerHeartbeat(first_beat("g", "m", &["t"]));
    let Response::ConsumerHeartbeat(Err(refusal)) = bench.call(consumer) else { panic!() };
    assert_eq!(refusal.message, "Group g is not a consumer group.");
    let Response::Join(joined) = bench.call(Request::Join(join("g", "", 1))) else { panic!() };
    assert_eq!((joined.result, joined.member_id.as_str()), (Err(Error::InconsistentGroupProtocol), ""));
    let committed = bench.call(commit("g", "", -1, "t", 0, 5));
    assert_eq!(committed, Response::Commit(Err(Error::GroupIdNotFound)));
    let Response::List(listed) =
        bench.call(Request::List(ListFilter { types: vec!["Share".into()], ..ListFilter::default() }))
    else {
        panic!()
    };
    let listed: Vec<_> = listed.iter().map(|g| (g.group.as_str(), g.kind, g.state, g.protocol_type.as_str())).collect();
    assert_eq!(listed, [("g", GroupKind::Share, "Stable", "share")]);
    bench.call(Request::ConsumerHeartbeat(first_beat("c", "m", &["t"])));
    assert_eq!(answer(&mut bench, first_share_beat("c", "a", &["t"])), Err(Error::GroupIdNotFound));
    assert!(matches!(bench.call(Request::ConsumerHeartbeat(beat("c", "m", 2))), Response::ConsumerHeartbeat(Ok(_))));
}

#[test]
fn start_offsets_of_an_empty_group_are_set_by_making_its_states_anew() {
    let mut bench = empty_group();
    let asked = bench.send(alter(&[(1, 42), (7, 0)]));
    assert_eq!(bench.answer_call(Ok(())).ask, initializes(4, &[(1, 42)]));
    let partitions = vec![(1, Ok(())), (7, Err(Error::UnknownTopicOrPartition))];
    let altered = vec![("t".to_owned(), Some(topic_id("t")), partitions)];
    assert_eq!(bench.take(asked), Some(Response::AlterShareOffsets(Ok(altered))));
    assert_eq!(initialized(&mut bench), super::requests::partitions("t", &[0, 1]));

    let asked = bench.send(alter(&[(0, 1)]));
    let busy = bench.call(alter(&[(0, 2)]));
    assert_eq!(busy, Response::AlterShareOffsets(Err(Error::CoordinatorNotAvailable.into())), "one at a time");
    bench.answer_call(Err(Error::FencedStateEpoch));
    let altered = vec![("t".to_owned(), Some(topic_id("t")), vec![(0, Err(Error::FencedStateEpoch))])];
    assert_eq!(bench.take(asked), Some(Response::AlterShareOffsets(Ok(altered))));
    assert_eq!(initialized(&mut bench), super::requests::partitions("t", &[0, 1]), "it has the state it had");
}

#[test]
fn start_offsets_make_a_group_that_is_not_there_and_are_refused_to_one_with_members() {
    let mut bench = start(&[("t", 1)]);
    let asked = bench.send(alter(&[(0, 5)]));
    assert_eq!(bench.answer_call(Ok(())).ask, initializes(1, &[(0, 5)]));
    assert!(matches!(bench.take(asked), Some(Response::AlterShareOffsets(Ok(_)))));
    bench.reload();
    assert_eq!(describe(&mut bench).map(|group| group.state), Ok(ShareGroupState::Empty));
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(2, &[0]), "with a state from the start");
    let refused = bench.call(alter(&[(0, 5)]));
    assert_eq!(refused, Response::AlterShareOffsets(Err(Error::NonEmptyGroup.into())));
    assert_eq!(bench.call(delete_offsets(&["t"])), Response::DeleteShareOffsets(Err(Error::NonEmptyGroup.into())));
    assert_eq!(bench.call(Request::Delete("g".into())), Response::Delete(Err(Error::NonEmptyGroup)));
}

#[test]
fn offsets_of_topics_are_deleted_with_their_states() {
    let mut bench = empty_group();
    let asked = bench.send(delete_offsets(&["t", "gone"]));
    assert_eq!(initialized(&mut bench), Partitions::default());
    assert_eq!(bench.answer_call(Ok(())).ask, AskStates::Delete(partitions("t", &[0, 1])));
    let Some(Response::DeleteShareOffsets(Ok(deleted))) = bench.take(asked) else { panic!() };
    let deleted: Vec<_> =
        deleted.into_iter().map(|(name, _, result)| (name, result.map_err(|refusal| refusal.error))).collect();
    assert_eq!(deleted, [("t".into(), Ok(())), ("gone".into(), Err(Error::UnknownTopicOrPartition))]);
    let Response::DeleteShareOffsets(Ok(again)) = bench.call(delete_offsets(&["t"])) else { panic!() };
    assert_eq!(again[0].2.as_ref().unwrap_err().message, "There is no offset information to delete.");
}

#[test]
fn a_deletion_that_failed_may_be_repeated_or_superseded_by_a_member() {
    let mut bench = empty_group();
    let asked = bench.send(delete_offsets(&["t"]));
    bench.answer_call(Err(Error::CoordinatorNotAvailable));
    let Some(Response::DeleteShareOffsets(Ok(refused))) = bench.take(asked) else { panic!() };
    assert_eq!(refused[0].2, Err(Error::CoordinatorNotAvailable.into()));
    bench.reload();
    bench.send(delete_offsets(&["t"]));
    assert_eq!(bench.calls[0].ask, AskStates::Delete(partitions("t", &[0, 1])), "all that there may be");
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(5, &[]));
    assert_eq!(bench.calls.len(), 1, "no state is made of what is being deleted");
    bench.answer_call(Err(Error::CoordinatorNotAvailable));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 5)), Ok((5, None)));
    assert_eq!(bench.answer_call(Ok(())).ask, initializes(5, &[(0, -1), (1, -1)]));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 5)), told(6, &[0, 1]));
}

#[test]
fn a_group_is_deleted_after_its_states() {
    let mut bench = empty_group();
    let asked = bench.send(Request::Delete("g".into()));
    assert_eq!((bench.take(asked), bench.calls.len()), (None, 1));
    bench.answer_call(Ok(()));
    assert_eq!(bench.take(asked), Some(Response::Delete(Ok(()))));
    let not_found = |bench: &mut Bench| describe(bench).map_err(|refusal| refusal.message);
    assert_eq!(not_found(&mut bench), Err("Group g not found.".into()));
    bench.reload();
    assert_eq!(not_found(&mut bench), Err("Group g not found.".into()));
    assert_eq!(bench.call(Request::Delete("g".into())), Response::Delete(Err(Error::GroupIdNotFound)));
}

#[test]
fn a_group_whose_states_stay_or_that_is_joined_meanwhile_stays() {
    let mut bench = empty_group();
    let asked = bench.send(Request::Delete("g".into()));
    bench.answer_call(Err(Error::CoordinatorNotAvailable));
    assert_eq!(bench.take(asked), Some(Response::Delete(Err(Error::CoordinatorNotAvailable))));
    let asked = bench.send(Request::Delete("g".into()));
    assert_eq!(answer(&mut bench, first_share_beat("g", "a", &["t"])), told(5, &[]));
    bench.answer_call(Ok(()));
    assert_eq!(bench.take(asked), Some(Response::Delete(Err(Error::NonEmptyGroup))));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 5)), Ok((5, None)));
    bench.answer_call(Ok(()));
    assert_eq!(answer(&mut bench, share_beat("g", "a", 5)), told(6, &[0, 1]));
}

#[test]
fn what_is_asked_of_administrators_is_refused_when_the_coordinator_moves_or_the_log_is_slow() {
    let mut bench = empty_group();
    let asked = bench.send(Request::Delete("g".into()));
    bench.reload();
    assert_eq!(bench.take(asked), Some(Response::Delete(Err(Error::NotCoordinator))));
    bench.is_prompt = false;
    let asked = bench.send(alter(&[(0, 5)]));
    bench.advance(Duration::from_secs(5));
    let slow = Response::AlterShareOffsets(Err(Error::CoordinatorNotAvailable.into()));
    assert_eq!(bench.take(asked), Some(slow));
    bench.make_durable();
    bench.is_prompt = true;
    bench.answer_call(Ok(()));
    assert!(initialized(&mut bench).contains(topic_id("t"), 0), "it was made all the same");
}

#[test]
fn the_states_of_a_topic_that_is_deleted_are_forgotten() {
    let mut bench = group_of_one();
    bench.tell(&[("u", 1)]);
    assert_eq!(initialized(&mut bench), Partitions::default());
    assert_eq!(answer(&mut bench, share_beat("g", "a", 3)), Ok((4, Some(Partitions::default()))));
    assert!(bench.calls.is_empty());
    bench.reload();
    assert_eq!(initialized(&mut bench), Partitions::default());
}
