//! Streams groups (KIP-1071), one behaviour per test, by the exact answers.

use std::time::Duration;

use ottla_core::coordinator::AppendError;
use ottla_core::group::{
    Config, DescribedStreamsGroup, Endpoint, EndpointPartitions, Error, InternalTopic, LEAVE, Refusal, Request,
    Response, StatusCode, StreamsBeat, StreamsConfig, StreamsGroupState, StreamsHeartbeat, StreamsStatus,
    StreamsTopology, TaskSets,
};

use super::bench::Bench;
use super::requests::{active, first_streams_beat, owning, streams_beat, tasks, word_count};

/// Source, repartition topic and changelog.
pub(super) const TOPICS: [(&str, i32); 3] = [("t", 2), ("r", 2), ("c", 2)];

/// Tasks are assigned at once, and as often as may be.
pub(super) fn prompt() -> StreamsConfig {
    StreamsConfig {
        initial_rebalance_delay: Duration::ZERO,
        assignment_interval: Duration::ZERO,
        ..StreamsConfig::default()
    }
}

pub(super) fn start_with(streams: StreamsConfig, topics: &[(&str, i32)]) -> Bench {
    let mut bench = Bench::new(Config { streams, ..Config::default() });
    bench.tell(topics);
    bench
}

pub(super) fn start(topics: &[(&str, i32)]) -> Bench {
    start_with(prompt(), topics)
}

pub(super) fn ask(bench: &mut Bench, beat: StreamsHeartbeat) -> Result<StreamsBeat, Refusal> {
    match bench.call(Request::StreamsHeartbeat(Box::new(beat))) {
        Response::StreamsHeartbeat(answer) => answer,
        other => panic!("no heartbeat but {other:?}"),
    }
}

/// Epoch and, if they were told, tasks.
pub(super) fn told(bench: &mut Bench, beat: StreamsHeartbeat) -> (i32, Option<TaskSets>) {
    let beat = ask(bench, beat).unwrap();
    (beat.member_epoch, beat.assignment)
}

pub(super) fn error(bench: &mut Bench, beat: StreamsHeartbeat) -> Error {
    ask(bench, beat).unwrap_err().error
}

fn codes(beat: &StreamsBeat) -> Vec<StatusCode> {
    beat.statuses.iter().map(|status| status.code).collect()
}

pub(super) fn describe(bench: &mut Bench) -> DescribedStreamsGroup {
    match bench.call(Request::DescribeStreams("g".into())) {
        Response::DescribeStreams(found) => found.unwrap(),
        other => panic!("no group but {other:?}"),
    }
}

pub(super) fn state(bench: &mut Bench) -> StreamsGroupState {
    describe(bench).state
}

pub(super) fn all_tasks() -> TaskSets {
    active(&[("0", &[0, 1]), ("1", &[0, 1])])
}

#[test]
fn the_first_member_gets_all_tasks_of_its_topology() {
    let mut bench = start(&TOPICS);
    let beat = ask(&mut bench, first_streams_beat("g", "a")).unwrap();
    let expected = StreamsBeat {
        member_id: "a".into(),
        member_epoch: 2,
        heartbeat_interval: Duration::from_secs(5),
        assignment: Some(all_tasks()),
        ..StreamsBeat::default()
    };
    assert_eq!(beat, expected);
    assert_eq!(told(&mut bench, streams_beat("g", "a", 2)), (2, None), "nothing new");
    assert_eq!(state(&mut bench), StreamsGroupState::Stable);
}

#[test]
fn missing_internal_topics_are_told_until_they_are_there() {
    let mut bench = start(&[("t", 3)]);
    let beat = ask(&mut bench, first_streams_beat("g", "a")).unwrap();
    let detail = "Internal topics are missing: c, r".to_owned();
    assert_eq!(beat.statuses, [StreamsStatus { code: StatusCode::MissingInternalTopics, detail }]);
    assert_eq!((beat.member_epoch, beat.assignment), (2, Some(TaskSets::default())));
    let repartition = InternalTopic { name: "r".into(), partitions: 3, replication_factor: -1, configs: Vec::new() };
    let configs = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let changelog = InternalTopic { name: "c".into(), configs, ..repartition.clone() };
    assert_eq!(beat.internal_topics, [changelog, repartition]);
    assert_eq!(state(&mut bench), StreamsGroupState::NotReady);
    let again = ask(&mut bench, streams_beat("g", "a", 2)).unwrap();
    assert_eq!((again.internal_topics.len(), again.assignment), (2, None));

    bench.tell(&[("t", 3), ("r", 3), ("c", 3)]);
    let ready = ask(&mut bench, streams_beat("g", "a", 2)).unwrap();
    assert_eq!((ready.member_epoch, ready.statuses, ready.internal_topics), (3, vec![], vec![]));
    assert_eq!(ready.assignment, Some(active(&[("0", &[0, 1, 2]), ("1", &[0, 1, 2])])));
    assert_eq!(state(&mut bench), StreamsGroupState::Stable);
}

#[test]
fn missing_sources_and_topics_that_do_not_fit_are_told() {
    let mut bench = start(&[]);
    let beat = ask(&mut bench, first_streams_beat("g", "a")).unwrap();
    let detail = "Source topics t are missing.".to_owned();
    assert_eq!(beat.statuses, [StreamsStatus { code: StatusCode::MissingSourceTopics, detail }]);
    bench.tell(&[("t", 2), ("c", 5)]);
    let beat = ask(&mut bench, streams_beat("g", "a", 2)).unwrap();
    let detail = "Existing topic c has different number of partitions: expected 2, found 5".to_owned();
    assert_eq!(beat.statuses, [StreamsStatus { code: StatusCode::IncorrectlyPartitionedTopics, detail }]);
    assert!(beat.internal_topics.is_empty());
}

#[test]
fn topics_that_go_away_take_the_tasks_with_them() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    bench.tell(&[("r", 2), ("c", 2)]);
    let beat = ask(&mut bench, streams_beat("g", "a", 2)).unwrap();
    assert_eq!(codes(&beat), [StatusCode::MissingSourceTopics]);
    assert_eq!((beat.member_epoch, beat.assignment), (2, Some(TaskSets::default())), "they are to be given up");
    assert_eq!(told(&mut bench, owning(streams_beat("g", "a", 2), &TaskSets::default())), (3, None));
}

#[test]
fn a_second_member_gets_its_share_when_the_first_has_given_it_up() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    assert_eq!(told(&mut bench, first_streams_beat("g", "b")), (3, Some(TaskSets::default())));
    assert_eq!(state(&mut bench), StreamsGroupState::Reconciling);
    let kept = active(&[("0", &[0]), ("1", &[0])]);
    assert_eq!(told(&mut bench, owning(streams_beat("g", "a", 2), &all_tasks())), (2, Some(kept.clone())));
    assert_eq!(told(&mut bench, streams_beat("g", "b", 3)), (3, None), "the first still owns it");
    assert_eq!(told(&mut bench, owning(streams_beat("g", "a", 2), &kept)), (3, None));
    let share = active(&[("0", &[1]), ("1", &[1])]);
    assert_eq!(told(&mut bench, streams_beat("g", "b", 3)), (3, Some(share)));
    assert_eq!(state(&mut bench), StreamsGroupState::Stable);
}

#[test]
fn a_member_that_does_not_give_its_tasks_up_in_time_is_out() {
    let mut bench = start(&TOPICS);
    let hurried = StreamsHeartbeat { rebalance_timeout: Some(Duration::from_secs(7)), ..first_streams_beat("g", "a") };
    told(&mut bench, hurried);
    told(&mut bench, first_streams_beat("g", "b"));
    told(&mut bench, streams_beat("g", "a", 2));
    bench.advance(Duration::from_secs(7));
    assert_eq!(error(&mut bench, streams_beat("g", "a", 2)), Error::UnknownMemberId);
    assert_eq!(told(&mut bench, streams_beat("g", "b", 3)), (4, Some(all_tasks())));
}

#[test]
fn a_silent_member_is_out_and_a_leaving_one_at_once() {
    let mut bench = start(&TOPICS);
    for member in ["a", "b", "c"] {
        told(&mut bench, first_streams_beat("g", member));
    }
    let left = ask(&mut bench, streams_beat("g", "b", LEAVE)).unwrap();
    assert_eq!(left, StreamsBeat { member_id: "b".into(), member_epoch: LEAVE, ..StreamsBeat::default() });
    assert_eq!(error(&mut bench, streams_beat("g", "b", LEAVE)), Error::UnknownMemberId);
    bench.advance(Duration::from_secs(44));
    told(&mut bench, owning(streams_beat("g", "a", 2), &all_tasks()));
    bench.advance(Duration::from_secs(1));
    assert_eq!(describe(&mut bench).members.len(), 1, "the others are gone");
}

#[test]
fn epochs_fence() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    told(&mut bench, first_streams_beat("g", "b"));
    assert_eq!(error(&mut bench, streams_beat("g", "a", 9)), Error::FencedMemberEpoch);
    assert_eq!(error(&mut bench, streams_beat("g", "a", 1)), Error::FencedMemberEpoch);
    assert_eq!(error(&mut bench, streams_beat("g", "c", 1)), Error::UnknownMemberId);
    assert_eq!(error(&mut bench, streams_beat("other", "c", 1)), Error::GroupIdNotFound);
    let kept = active(&[("0", &[0]), ("1", &[0])]);
    told(&mut bench, streams_beat("g", "a", 2));
    told(&mut bench, owning(streams_beat("g", "a", 2), &kept));
    let lost = owning(streams_beat("g", "a", 2), &kept);
    assert_eq!(told(&mut bench, lost), (3, Some(kept)), "the answer with the new epoch may have been lost");
    assert_eq!(error(&mut bench, owning(streams_beat("g", "a", 2), &all_tasks())), Error::FencedMemberEpoch);
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    told(&mut bench, first_streams_beat("g", "b"));
    let kept = active(&[("0", &[0]), ("1", &[0])]);
    assert_eq!(told(&mut bench, streams_beat("g", "a", 2)), (2, Some(kept.clone())));
    let as_before = owning(streams_beat("g", "a", 2), &all_tasks());
    assert_eq!(told(&mut bench, as_before), (2, Some(kept)), "it does not know what it is to give up");
}

#[test]
fn a_member_that_joins_once_more_keeps_what_it_is_to_have() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    assert_eq!(told(&mut bench, first_streams_beat("g", "a")), (2, Some(all_tasks())));
    told(&mut bench, first_streams_beat("g", "b"));
    told(&mut bench, streams_beat("g", "a", 2));
    let kept = active(&[("0", &[0]), ("1", &[0])]);
    assert_eq!(told(&mut bench, first_streams_beat("g", "a")), (3, Some(kept)), "it owns nothing any more");
    assert_eq!(told(&mut bench, streams_beat("g", "b", 3)), (3, Some(active(&[("0", &[1]), ("1", &[1])]))));
}

#[test]
fn a_new_group_waits_for_more_members() {
    let streams = StreamsConfig { assignment_interval: Duration::ZERO, ..StreamsConfig::default() };
    let mut bench = start_with(streams, &TOPICS);
    let beat = ask(&mut bench, first_streams_beat("g", "a")).unwrap();
    let detail = "Assignment delayed due to the configured initial rebalance delay.".to_owned();
    assert_eq!(beat.statuses, [StreamsStatus { code: StatusCode::AssignmentDelayed, detail }]);
    assert_eq!((beat.member_epoch, beat.assignment), (1, Some(TaskSets::default())));
    bench.advance(Duration::from_secs(2));
    assert_eq!(told(&mut bench, first_streams_beat("g", "b")).0, 1);
    assert_eq!(state(&mut bench), StreamsGroupState::Assigning);
    bench.advance(Duration::from_secs(1));
    assert_eq!(state(&mut bench), StreamsGroupState::Reconciling);
    assert_eq!(told(&mut bench, streams_beat("g", "a", 1)), (3, Some(active(&[("0", &[0]), ("1", &[0])]))));
    assert_eq!(told(&mut bench, streams_beat("g", "b", 1)), (3, Some(active(&[("0", &[1]), ("1", &[1])]))));
}

#[test]
fn assignments_keep_their_distance() {
    let streams = StreamsConfig { initial_rebalance_delay: Duration::ZERO, ..StreamsConfig::default() };
    let mut bench = start_with(streams, &TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    let beat = ask(&mut bench, first_streams_beat("g", "b")).unwrap();
    let detail = "Assignment delayed due to the configured assignment interval.".to_owned();
    assert_eq!(beat.statuses, [StreamsStatus { code: StatusCode::AssignmentDelayed, detail }]);
    assert_eq!((beat.member_epoch, beat.assignment), (2, Some(TaskSets::default())));
    bench.advance(Duration::from_millis(999));
    assert_eq!(state(&mut bench), StreamsGroupState::Assigning);
    bench.advance(Duration::from_millis(1));
    assert_eq!(state(&mut bench), StreamsGroupState::Reconciling, "without a heartbeat");
    assert_eq!(told(&mut bench, streams_beat("g", "b", 2)).0, 3);
}

#[test]
fn copies_of_states_are_kept_in_other_processes() {
    let mut bench = start_with(StreamsConfig { num_standby_replicas: 1, ..prompt() }, &TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    told(&mut bench, first_streams_beat("g", "b"));
    let kept = active(&[("0", &[0]), ("1", &[0])]);
    told(&mut bench, streams_beat("g", "a", 2));
    let with_copy = TaskSets { standby: tasks(&[("1", &[1])]), ..kept.clone() };
    let (epoch, told_a) = told(&mut bench, owning(streams_beat("g", "a", 2), &kept));
    assert_eq!((epoch, told_a), (3, Some(with_copy)));
    let share = TaskSets { standby: tasks(&[("1", &[0])]), ..active(&[("0", &[1]), ("1", &[1])]) };
    assert_eq!(told(&mut bench, streams_beat("g", "b", 3)), (3, Some(share)));
    // The copy takes over where the active one is gone.
    told(&mut bench, streams_beat("g", "a", LEAVE));
    let (epoch, revoking) = told(&mut bench, streams_beat("g", "b", 3));
    assert_eq!((epoch, revoking), (3, Some(active(&[("0", &[1]), ("1", &[1])]))));
    let owned = owning(streams_beat("g", "b", 3), &active(&[("0", &[1]), ("1", &[1])]));
    assert_eq!(told(&mut bench, owned), (4, Some(all_tasks())));
}

#[test]
fn another_number_of_copies_begins_another_epoch() {
    use ottla_core::metadata::{Record, Resource};
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    let mut image = (*bench.image).clone();
    let (key, value) = ("streams.num.standby.replicas".to_owned(), Some("1".to_owned()));
    image.apply(&Record::ConfigChanged { resource: Resource::group("g"), key, value }).unwrap();
    bench.tell_image(image);
    assert_eq!(told(&mut bench, streams_beat("g", "a", 2)), (3, None));
}

#[test]
fn a_topology_is_not_changed() {
    let mut bench = start(&TOPICS);
    let epoch_1 = StreamsTopology { epoch: 1, ..word_count() };
    let first = StreamsHeartbeat { topology: Some(epoch_1.clone()), ..first_streams_beat("g", "a") };
    told(&mut bench, first);
    let stale = ask(&mut bench, first_streams_beat("g", "b")).unwrap();
    let detail = "The member's topology epoch 0 is behind the group's topology epoch 1.".to_owned();
    assert_eq!(stale.statuses, [StreamsStatus { code: StatusCode::StaleTopology, detail }]);
    let again = ask(&mut bench, streams_beat("g", "b", 3)).unwrap();
    assert_eq!(codes(&again), [StatusCode::StaleTopology]);
    for topology in [
        StreamsTopology { epoch: 2, ..word_count() },
        StreamsTopology { subtopologies: word_count().subtopologies[..1].to_vec(), ..epoch_1.clone() },
    ] {
        let refused = StreamsHeartbeat { topology: Some(topology), ..first_streams_beat("g", "c") };
        let refusal = ask(&mut bench, refused).unwrap_err();
        assert_eq!(
            (refusal.error, &*refusal.message),
            (Error::InvalidRequest, "Topology updates are not supported yet.")
        );
    }
    let mut same = epoch_1;
    same.subtopologies.reverse();
    told(&mut bench, StreamsHeartbeat { topology: Some(same), ..first_streams_beat("g", "c") });
    assert_eq!(describe(&mut bench).members.len(), 3);
}

#[test]
fn a_topology_that_makes_no_sense_leaves_no_trace() {
    let mut bench = start(&TOPICS);
    let mut loops = word_count();
    loops.subtopologies.remove(0);
    let refusal =
        ask(&mut bench, StreamsHeartbeat { topology: Some(loops), ..first_streams_beat("g", "a") }).unwrap_err();
    assert_eq!(refusal.error, Error::StreamsInvalidTopology);
    assert_eq!(error(&mut bench, streams_beat("g", "a", 1)), Error::GroupIdNotFound);
    assert!(bench.log.is_empty());
}

#[test]
fn a_shutdown_is_told_to_all_until_all_are_gone() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    told(&mut bench, first_streams_beat("g", "b"));
    told(&mut bench, StreamsHeartbeat { shuts_down: true, ..streams_beat("g", "b", 3) });
    let beat = ask(&mut bench, streams_beat("g", "a", 2)).unwrap();
    assert_eq!(codes(&beat), [StatusCode::ShutdownApplication]);
    assert!(beat.statuses[0].detail.starts_with("Streams group member b encountered a fatal error"));
    told(&mut bench, streams_beat("g", "b", LEAVE));
    assert_eq!(codes(&ask(&mut bench, streams_beat("g", "a", 2)).unwrap()), [StatusCode::ShutdownApplication]);
    told(&mut bench, streams_beat("g", "a", LEAVE));
    assert!(ask(&mut bench, first_streams_beat("g", "c")).unwrap().statuses.is_empty());
    // One that leaves may ask for it as well.
    told(&mut bench, first_streams_beat("g", "d"));
    told(&mut bench, StreamsHeartbeat { shuts_down: true, ..streams_beat("g", "d", LEAVE) });
    let beat = ask(&mut bench, first_streams_beat("g", "c")).unwrap();
    assert_eq!(codes(&beat), [StatusCode::ShutdownApplication]);
}

#[test]
fn endpoints_are_told_when_they_have_changed() {
    let mut bench = start(&TOPICS);
    let endpoint = |port| Endpoint { host: "h".into(), port };
    let with_endpoint =
        |id: &str, port| StreamsHeartbeat { user_endpoint: Some(endpoint(port)), ..first_streams_beat("g", id) };
    let beat = ask(&mut bench, with_endpoint("a", 1)).unwrap();
    let all = || vec![("r".to_owned(), vec![0, 1]), ("t".to_owned(), vec![0, 1])];
    let of_a = EndpointPartitions { endpoint: endpoint(1), active: all(), standby: Vec::new() };
    assert_eq!((beat.endpoint_epoch, beat.endpoints), (1, Some(vec![of_a])));
    let same = ask(&mut bench, StreamsHeartbeat { endpoint_epoch: 1, ..streams_beat("g", "a", 2) }).unwrap();
    assert_eq!((same.endpoint_epoch, same.endpoints), (1, None));
    let beat = ask(&mut bench, with_endpoint("b", 2)).unwrap();
    assert_eq!((beat.endpoint_epoch, beat.endpoints.map(|all| all.len())), (2, Some(2)));
}

#[test]
fn a_group_that_moves_goes_on_as_it_was() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    told(&mut bench, first_streams_beat("g", "b"));
    told(&mut bench, streams_beat("g", "a", 2));
    let before = describe(&mut bench);
    bench.reload();
    let after = describe(&mut bench);
    assert_eq!((after.members, after.epoch, after.state), (before.members, before.epoch, before.state));
    let kept = active(&[("0", &[0]), ("1", &[0])]);
    assert_eq!(told(&mut bench, streams_beat("g", "b", 3)), (3, None), "the first still owns it");
    assert_eq!(told(&mut bench, owning(streams_beat("g", "a", 2), &kept)), (3, None));
    bench.compact();
    bench.reload();
    assert_eq!(told(&mut bench, streams_beat("g", "b", 3)), (3, Some(active(&[("0", &[1]), ("1", &[1])]))));
    bench.advance(Duration::from_secs(45));
    assert_eq!(state(&mut bench), StreamsGroupState::Empty);
}

#[test]
fn what_the_log_refuses_is_written_with_what_comes_next() {
    let mut bench = start(&TOPICS);
    bench.is_prompt = false;
    let refused = bench.send(Request::StreamsHeartbeat(Box::new(first_streams_beat("g", "a"))));
    bench.fail_oldest(AppendError::NotEnoughReplicas);
    let Some(Response::StreamsHeartbeat(Err(refusal))) = bench.take(refused) else { panic!("no refusal") };
    assert_eq!(refusal.error, Error::CoordinatorNotAvailable);
    bench.is_prompt = true;
    assert_eq!(told(&mut bench, first_streams_beat("g", "a")), (2, Some(all_tasks())));
    bench.reload();
    assert_eq!(told(&mut bench, streams_beat("g", "a", 2)), (2, None));
}
