//! Streams groups (KIP-1071): their offsets, what is told of them and done with them from outside, and what is refused.

use std::time::Duration;

use ottla_core::group::{
    Commit, Error, GroupKind, JOIN, LEAVE, ListFilter, Refusal, Request, Response, StreamsConfig, StreamsHeartbeat,
    StreamsTopology, Tasks,
};

use super::bench::{Bench, topic};
use super::requests::{active, commit, first_beat, first_share_beat, first_streams_beat, join, owning};
use super::requests::{fetch_all, offsets, streams_beat, tasks, word_count};
use super::streams::{TOPICS, all_tasks, ask, describe, prompt, start, start_with, told};

/// A commit of a client of today.
fn commit_of(group: &str, member: &str, epoch: i32, on: &str, partition: i32, offset: i64) -> Request {
    match commit(group, member, epoch, on, partition, offset) {
        Request::Commit(commit) => Request::Commit(Commit { knows_consumer_protocol: true, ..commit }),
        other => other,
    }
}

#[test]
fn members_commit_in_their_epoch_or_since_they_have_the_task() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    told(&mut bench, first_streams_beat("g", "b"));
    let try_commit = |bench: &mut Bench, member: &str, epoch, partition| match bench
        .call(commit_of("g", member, epoch, "t", partition, 5))
    {
        Response::Commit(answer) => answer.map(drop),
        other => panic!("no commit but {other:?}"),
    };
    assert_eq!(try_commit(&mut bench, "a", 2, 1), Ok(()));
    assert_eq!(try_commit(&mut bench, "a", 3, 1), Err(Error::StaleMemberEpoch));
    assert_eq!(try_commit(&mut bench, "x", 2, 1), Err(Error::UnknownMemberId));
    assert_eq!(try_commit(&mut bench, "", -1, 1), Err(Error::UnknownMemberId));
    told(&mut bench, streams_beat("g", "a", 2));
    told(&mut bench, owning(streams_beat("g", "a", 2), &active(&[("0", &[0]), ("1", &[0])])));
    assert_eq!(try_commit(&mut bench, "a", 2, 0), Ok(()), "it has had the task since");
    assert_eq!(try_commit(&mut bench, "a", 2, 1), Err(Error::StaleMemberEpoch), "another has it");
    told(&mut bench, streams_beat("g", "b", 3));
    assert_eq!(try_commit(&mut bench, "b", 2, 1), Err(Error::StaleMemberEpoch), "it did not have it yet");
    assert_eq!(offsets(bench.call(fetch_all("g", false))).len(), 2);
}

#[test]
fn a_streams_group_is_listed_described_and_deleted() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    let filter = ListFilter { types: vec!["Streams".into()], states: vec!["stable".into()] };
    let Response::List(listed) = bench.call(Request::List(filter)) else { panic!("no list") };
    let listed: Vec<_> = listed.iter().map(|g| (&*g.group, g.kind, g.state, &*g.protocol_type)).collect();
    assert_eq!(listed, [("g", GroupKind::Streams, "Stable", "streams")]);
    let described = describe(&mut bench);
    assert_eq!((described.epoch, described.assignment_epoch), (2, 2));
    assert_eq!(described.topology.subtopologies[1].changelog_topics[0].partitions, 2);
    let member = &described.members[0];
    assert_eq!((&*member.process_id, member.epoch, member.topology_epoch), ("process-a", 2, 0));
    assert_eq!((&member.assignment, &member.target), (&all_tasks(), &all_tasks()));

    bench.call(commit_of("g", "a", 2, "t", 0, 5));
    assert_eq!(bench.call(Request::Delete("g".into())), Response::Delete(Err(Error::NonEmptyGroup)));
    told(&mut bench, streams_beat("g", "a", LEAVE));
    assert_eq!(bench.call(Request::Delete("g".into())), Response::Delete(Ok(())));
    bench.compact();
    assert!(bench.log.is_empty(), "{:?}", bench.log);
    let gone = bench.call(Request::DescribeStreams("g".into()));
    let refusal = Refusal { error: Error::GroupIdNotFound, message: "Group g not found.".into() };
    assert_eq!(gone, Response::DescribeStreams(Err(refusal)));
}

#[test]
fn offsets_of_topics_that_are_read_are_not_deleted() {
    use ottla_core::group::DeleteOffsets;
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    bench.call(commit_of("g", "a", 2, "t", 0, 5));
    let delete = || Request::DeleteOffsets(DeleteOffsets { group: "g".into(), topics: vec![(topic("t"), vec![0])] });
    let refused = vec![(topic("t"), vec![(0, Err(Error::GroupSubscribedToTopic))])];
    assert_eq!(bench.call(delete()), Response::DeleteOffsets(Ok(refused)));
    told(&mut bench, streams_beat("g", "a", LEAVE));
    assert_eq!(bench.call(delete()), Response::DeleteOffsets(Ok(vec![(topic("t"), vec![(0, Ok(()))])])));
}

#[test]
fn offsets_and_empty_groups_expire() {
    let mut bench = start(&TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    bench.call(commit_of("g", "a", 2, "t", 0, 5));
    told(&mut bench, streams_beat("g", "a", LEAVE));
    bench.advance(Duration::from_secs(8 * 24 * 3600));
    bench.compact();
    assert!(bench.log.is_empty(), "{:?}", bench.log);
}

#[test]
fn a_group_of_another_kind_is_not_one_of_streams() {
    let mut bench = start(&TOPICS);
    bench.call(Request::ConsumerHeartbeat(first_beat("g", "a", &["t"])));
    bench.call(Request::ShareHeartbeat(first_share_beat("h", "a", &["t"])));
    for group in ["g", "h"] {
        let refusal = ask(&mut bench, first_streams_beat(group, "b")).unwrap_err();
        assert_eq!(refusal.error, Error::GroupIdNotFound);
        assert_eq!(refusal.message, format!("Group {group} is not a streams group."));
    }
    told(&mut bench, first_streams_beat("s", "a"));
    let Response::ConsumerHeartbeat(Err(refusal)) =
        bench.call(Request::ConsumerHeartbeat(first_beat("s", "b", &["t"])))
    else {
        panic!("a consumer is in a streams group")
    };
    assert_eq!(refusal.error, Error::GroupIdNotFound);
    let Response::ShareHeartbeat(Err(refusal)) =
        bench.call(Request::ShareHeartbeat(first_share_beat("s", "b", &["t"])))
    else {
        panic!("a share consumer is in a streams group")
    };
    assert_eq!(refusal.error, Error::GroupIdNotFound);
    let request = bench.send(Request::Join(join("s", "", 1)));
    assert_eq!(bench.take_join(request).result.unwrap_err(), Error::InconsistentGroupProtocol);
}

#[test]
fn an_empty_group_may_become_one_of_streams_and_back_and_keeps_its_offsets() {
    let mut bench = start(&TOPICS);
    bench.call(commit_of("g", "", -1, "t", 0, 5));
    assert_eq!(told(&mut bench, first_streams_beat("g", "a")).0, 2);
    bench.reload();
    assert_eq!(told(&mut bench, streams_beat("g", "a", 2)), (2, None));
    assert_eq!(offsets(bench.call(fetch_all("g", false))).len(), 1);
    told(&mut bench, streams_beat("g", "a", LEAVE));
    let request = bench.send(Request::Join(join("g", "", 1)));
    bench.advance(Duration::from_secs(3));
    assert!(bench.take_join(request).result.is_ok());
    let Response::List(listed) = bench.call(Request::List(ListFilter::default())) else { panic!("no list") };
    let listed: Vec<_> = listed.iter().map(|group| (&*group.group, group.kind)).collect();
    assert_eq!(listed, [("g", GroupKind::Classic)]);
    assert_eq!(offsets(bench.call(fetch_all("g", false))).len(), 1);
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut bench = start_with(StreamsConfig { max_size: 1, ..prompt() }, &TOPICS);
    told(&mut bench, first_streams_beat("g", "a"));
    let refusal = ask(&mut bench, first_streams_beat("g", "b")).unwrap_err();
    assert_eq!(refusal.error, Error::GroupMaxSizeReached);
    assert_eq!(refusal.message, "The streams group has reached its maximum capacity of 1 members.");
}

/// Requests that are refused whatever the group is, with Kafka's words.
#[test]
fn what_is_not_supported_or_makes_no_sense_is_refused() {
    let mut bench = start(&TOPICS);
    let first = || first_streams_beat("g", "a");
    let with = |change: fn(&mut StreamsTopology)| {
        let mut topology = word_count();
        change(&mut topology);
        StreamsHeartbeat { topology: Some(topology), ..first() }
    };
    let invalid = [
        (StreamsHeartbeat { instance_id: Some("i".into()), ..first() }, "Static membership is not yet supported."),
        (StreamsHeartbeat { has_task_offsets: true, ..first() }, "TaskOffsets are not supported yet."),
        (StreamsHeartbeat { has_task_end_offsets: true, ..first() }, "TaskEndOffsets are not supported yet."),
        (StreamsHeartbeat { warmup: Some(tasks(&[("0", &[0])])), ..first() }, "WarmupTasks are not supported yet."),
        (
            with(|topology| topology.subtopologies[0].source_topic_regexes.push("x.*".into())),
            "Regular expressions for source topics are not supported yet.",
        ),
        (StreamsHeartbeat { member_id: String::new(), ..first() }, "MemberId can't be empty."),
        (StreamsHeartbeat { group: String::new(), ..first() }, "GroupId can't be empty."),
        (StreamsHeartbeat { rack_id: Some(String::new()), ..first() }, "RackId can't be empty."),
        (
            StreamsHeartbeat { rebalance_timeout: None, ..first() },
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            StreamsHeartbeat { active: Some(tasks(&[("0", &[0])])), ..first() },
            "ActiveTasks must be empty when (re-)joining.",
        ),
        (StreamsHeartbeat { standby: None, ..first() }, "StandbyTasks must be empty when (re-)joining."),
        (StreamsHeartbeat { topology: None, ..first() }, "Topology must be non-null when (re-)joining."),
        (streams_beat("g", "a", -2), "InstanceId can't be null."),
        (streams_beat("g", "a", -3), "MemberEpoch is -3, but must be greater than or equal to -2."),
        (
            StreamsHeartbeat { active: Some(Tasks::default()), ..streams_beat("g", "a", 1) },
            "If one task-type is non-null, all must be non-null.",
        ),
        (StreamsHeartbeat { member_epoch: 1, ..first() }, "Topology can only be provided when (re-)joining."),
    ];
    for (beat, message) in invalid {
        let refusal = Refusal { error: Error::InvalidRequest, message: message.into() };
        assert_eq!(ask(&mut bench, beat), Err(refusal));
    }
    let invalid_topology = [
        (
            with(|topology| topology.subtopologies[0].source_topics.push("__consumer_offsets".into())),
            "Use of Kafka internal topics __consumer_offsets in a Kafka Streams topology is prohibited.",
        ),
        (
            with(|topology| topology.subtopologies[0].repartition_sink_topics.push("no topic".into())),
            "Topic names no topic are not valid topic names.",
        ),
        (
            with(|topology| topology.subtopologies[1].changelog_topics[0].partitions = 4),
            "Changelog topic c must have an undefined partition count, but it is set to 4.",
        ),
    ];
    for (beat, message) in invalid_topology {
        let refusal = Refusal { error: Error::StreamsInvalidTopology, message: message.into() };
        assert_eq!(ask(&mut bench, beat), Err(refusal));
    }
    assert!(bench.log.is_empty());
    assert_eq!(told(&mut bench, StreamsHeartbeat { member_epoch: JOIN, ..first() }).0, 2);
    let owned = |id: &str, index| owning(streams_beat("g", "a", 2), &active(&[(id, &[index])]));
    let refusal = ask(&mut bench, owned("7", 0)).unwrap_err();
    assert_eq!(refusal.message, "Subtopology 7 does not exist in the topology.");
    let refusal = ask(&mut bench, owned("0", 2)).unwrap_err();
    assert_eq!(refusal.message, "Task 2 for subtopology 0 is invalid. Number of tasks for this subtopology: 2");
}
