//! What topics make of topologies: numbers of tasks and partitions, what is missing, and what does not fit.

use std::sync::Arc;

use super::*;
use crate::group::streams::topology::CopartitionGroup;
use crate::metadata::{Image, LeaderRecovery, Partition, Record};
use crate::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId, TopicName};
use uuid::Uuid;

fn image(topics: &[(&str, i32)]) -> Image {
    let mut image = Image::default();
    for (index, (name, partitions)) in topics.iter().enumerate() {
        let id = TopicId(Uuid::from_u128(index as u128 + 1));
        image.apply(&Record::TopicCreated { name: TopicName::new(name).unwrap(), id }).unwrap();
        for partition in 0..*partitions {
            let state = Partition {
                replicas: Vec::new(),
                isr: Vec::new(),
                elr: Vec::new(),
                last_known_elr: Vec::new(),
                adding: Vec::new(),
                removing: Vec::new(),
                leader: BrokerId::NONE,
                recovery: LeaderRecovery::Recovered,
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(0),
                unflushed: false,
            };
            image.apply(&Record::PartitionCreated { topic: id, partition, state: Arc::new(state) }).unwrap();
        }
    }
    image
}

/// A part of a topology: sources, repartition topics read with fixed numbers or 0, sinks, and whether it has a state.
fn part(
    id: &str,
    sources: &[&str],
    repartition: &[(&str, i32)],
    sinks: &[&str],
    changelog: Option<&str>,
) -> Subtopology {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let topic = |name: &str, partitions| TopicInfo { name: name.into(), partitions, ..TopicInfo::default() };
    Subtopology {
        id: id.into(),
        source_topics: names(sources),
        repartition_source_topics: repartition.iter().map(|(name, count)| topic(name, *count)).collect(),
        repartition_sink_topics: names(sinks),
        changelog_topics: changelog.into_iter().map(|name| topic(name, 0)).collect(),
        ..Subtopology::default()
    }
}

/// All topics that the part reads belong together.
fn together(mut part: Subtopology) -> Subtopology {
    let places = |count: usize| (0..i16::try_from(count).unwrap()).collect();
    part.copartition_groups = vec![CopartitionGroup {
        source_topics: places(part.source_topics.len()),
        source_topic_regexes: Vec::new(),
        repartition_source_topics: places(part.repartition_source_topics.len()),
    }];
    part
}

fn run(parts: &[Subtopology], topics: &[(&str, i32)]) -> Result<Configured, Refusal> {
    configure(&StreamsTopology { epoch: 0, subtopologies: parts.to_vec() }, image(topics).topics())
}

fn missing(parts: &[Subtopology], topics: &[(&str, i32)]) -> Vec<(String, i32)> {
    let missing = run(parts, topics).unwrap().missing;
    missing.into_iter().map(|topic| (topic.name, topic.partitions)).collect()
}

fn problem(parts: &[Subtopology], topics: &[(&str, i32)]) -> (StatusCode, String) {
    let problem = run(parts, topics).unwrap().problem.unwrap();
    (problem.code, problem.detail)
}

fn named(all: &[(&str, i32)]) -> Vec<(String, i32)> {
    all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn a_topology_without_internal_topics_is_ready_when_its_sources_are_there() {
    let ready = run(&[part("0", &["a", "b"], &[], &[], None)], &[("a", 3), ("b", 5)]).unwrap();
    assert!(ready.is_ready() && ready.missing.is_empty());
    assert_eq!(ready.sizes, [("0".into(), Size { tasks: 5, is_stateful: false })].into());
}

#[test]
fn a_repartition_topic_is_as_large_as_the_largest_topic_of_its_writer_and_so_on_down() {
    let parts = [
        // Listed the wrong way round, so that the first look does not find everything.
        part("0", &[], &[("r2", 0)], &[], Some("c2")),
        part("1", &[], &[("r1", 0)], &["r2"], Some("c1")),
        part("2", &["a", "b"], &[], &["r1"], None),
    ];
    assert_eq!(missing(&parts, &[("a", 3), ("b", 7)]), named(&[("c1", 7), ("c2", 7), ("r1", 7), ("r2", 7)]));
    // What is there already is not missing.
    assert_eq!(missing(&parts, &[("a", 3), ("b", 7), ("r1", 7), ("c2", 7)]), named(&[("c1", 7), ("r2", 7)]));
}

#[test]
fn a_fixed_number_is_kept_and_goes_on_down() {
    let parts = [
        part("0", &["a"], &[], &["r1"], None),
        part("1", &[], &[("r1", 4)], &["r2"], Some("c")),
        part("2", &[], &[("r2", 0)], &[], None),
    ];
    assert_eq!(missing(&parts, &[("a", 3)]), named(&[("c", 4), ("r1", 4), ("r2", 4)]));
}

#[test]
fn topics_that_belong_together_get_the_same_number() {
    let writer = part("0", &["a"], &[], &["r"], None);
    let joins = together(part("1", &["b"], &[("r", 0)], &[], Some("c")));
    assert_eq!(missing(&[writer.clone(), joins], &[("a", 3), ("b", 5)]), named(&[("c", 5), ("r", 5)]));
    let other = part("2", &["b"], &[], &["s"], None);
    let joins = together(part("1", &[], &[("r", 0), ("s", 0)], &[], Some("c")));
    let all = [writer.clone(), other.clone(), joins];
    assert_eq!(missing(&all, &[("a", 3), ("b", 5)]), named(&[("c", 5), ("r", 5), ("s", 5)]), "the largest");
    let joins = together(part("1", &[], &[("r", 4), ("s", 0)], &[], Some("c")));
    assert_eq!(missing(&[writer, other, joins], &[("a", 3), ("b", 5)]), named(&[("c", 4), ("r", 4), ("s", 4)]));
}

#[test]
fn topics_that_belong_together_and_differ_are_told() {
    let joins = together(part("0", &["a", "b"], &[], &[], None));
    let differ = "Following topics do not have the same number of partitions: [{a=3, b=5}]".to_owned();
    assert_eq!(problem(&[joins], &[("a", 3), ("b", 5)]), (StatusCode::IncorrectlyPartitionedTopics, differ));
    let fixed =
        "Number of partitions [4] of repartition topic [r] doesn't match number of partitions [5] of the source topic.";
    let parts = [part("0", &["b"], &[], &["r"], None), together(part("1", &["b"], &[("r", 4)], &[], None))];
    assert_eq!(problem(&parts, &[("b", 5)]), (StatusCode::IncorrectlyPartitionedTopics, fixed.to_owned()));
    let two = together(part("1", &[], &[("r", 4), ("s", 6)], &[], None));
    let differ = "Following topics do not have the same number of partitions: [{r=4, s=6}]".to_owned();
    assert_eq!(problem(&[two], &[]), (StatusCode::IncorrectlyPartitionedTopics, differ));
}

#[test]
fn what_a_topology_is_refused_for_does_not_depend_on_topics() {
    let message = |parts: &[Subtopology]| run(parts, &[("a", 1)]).unwrap_err().message;
    let circle = [part("0", &[], &[("r", 0)], &["s"], None), part("1", &[], &[("s", 0)], &["r"], None)];
    assert!(message(&circle).ends_with("There may be loops in the topology that cannot be resolved."));
    assert!(message(&[part("0", &["a"], &[("r", 0)], &[], None)]).ends_with("is never used as a sink topic."));
    assert_eq!(message(&[part("0", &[], &[], &[], None)]), "No source topics found for subtopology 0");
    let mut wrong = together(part("0", &["a"], &[], &[], None));
    wrong.copartition_groups[0].source_topics = vec![1];
    assert_eq!(message(&[wrong]), "Subtopology 0 has no source topic number 1.");
}

#[test]
fn of_many_missing_topics_some_are_named() {
    let parts = [part("0", &["e", "d", "c", "b", "a"], &[], &[], None)];
    let detail = "Source topics a, b, c and 2 additional topics are missing.".to_owned();
    assert_eq!(problem(&parts, &[]), (StatusCode::MissingSourceTopics, detail));
}
