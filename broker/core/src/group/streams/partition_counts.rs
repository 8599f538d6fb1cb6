//! The numbers of partitions of the internal topics of a topology: a repartition topic has as many as the largest topic
//! that what writes it reads; topics that belong together have the same; a changelog has one for each task.

use std::collections::{BTreeMap, BTreeSet};

use super::configure::Failure;
use super::request::StatusCode;
use super::topology::{CopartitionGroup, StreamsTopology, Subtopology};
use crate::metadata::Topics;

/// The numbers of partitions as far as they are known.
#[derive(Debug)]
pub(super) struct Counts<'a> {
    topics: &'a Topics,
    decided: BTreeMap<&'a str, i32>,
}

/// Finds the numbers of all internal topics. The source topics are there.
pub(super) fn decide<'a>(topology: &'a StreamsTopology, topics: &'a Topics) -> Result<Counts<'a>, Failure> {
    let mut counts = Counts { topics, decided: repartition_counts(topology, topics)? };
    let fixed: BTreeSet<&str> =
        repartition_topics(topology).filter(|(_, fixed)| *fixed).map(|(name, _)| name).collect();
    let all: BTreeSet<&str> = repartition_topics(topology).map(|(name, _)| name).collect();
    for subtopology in &topology.subtopologies {
        for group in &subtopology.copartition_groups {
            counts.copartition(&members(subtopology, group)?, &all, &fixed)?;
        }
    }
    let mut changelogs = Vec::new();
    for subtopology in &topology.subtopologies {
        let tasks = counts.of_tasks(subtopology)?;
        changelogs.extend(subtopology.changelog_topics.iter().map(|topic| (topic.name.as_str(), tasks)));
    }
    counts.decided.extend(changelogs);
    Ok(counts)
}

impl<'a> Counts<'a> {
    /// What was decided for an internal topic.
    pub(super) fn decided(&self, topic: &str) -> Option<i32> {
        self.decided.get(topic).copied()
    }

    /// What the topic has, or is to have.
    fn of(&self, topic: &str) -> Option<i32> {
        existing(self.topics, topic).or_else(|| self.decided(topic))
    }

    fn known(&self, topic: &str) -> Result<i32, Failure> {
        let unknown = || Failure::topology(format!("Number of partitions is not set for topic: {topic}"));
        self.of(topic).ok_or_else(unknown)
    }

    /// How many tasks a subtopology has.
    pub(super) fn of_tasks(&self, subtopology: &Subtopology) -> Result<i32, Failure> {
        let counts = subtopology.source_names().map(|name| self.known(name)).collect::<Result<Vec<_>, _>>()?;
        let none = || Failure::topology(format!("No source topics found for subtopology {}", subtopology.id));
        counts.into_iter().max().ok_or_else(none)
    }

    /// Gives the repartition topics of a group of topics that belong together the same number of partitions.
    fn copartition(
        &mut self,
        group: &BTreeSet<&'a str>,
        repartition: &BTreeSet<&str>,
        fixed: &BTreeSet<&str>,
    ) -> Result<(), Failure> {
        let count = |name: &&'a str| Ok((*name, self.known(name)?));
        let all = group.iter().map(count).collect::<Result<BTreeMap<_, _>, Failure>>()?;
        let part = |which: &dyn Fn(&str) -> bool| -> BTreeMap<&'a str, i32> {
            all.iter().filter(|(name, _)| which(name)).map(|(name, count)| (*name, *count)).collect()
        };
        let external = part(&|name| !repartition.contains(name));
        let fixed = part(&|name| fixed.contains(name));
        // What cannot be changed says how many: first what the application does not make itself.
        let leading = if external.is_empty() { &fixed } else { &external };
        let wanted = same(leading)?.or_else(|| all.values().copied().max());
        let Some(wanted) = wanted else { return Ok(()) };
        if let Some((name, count)) = fixed.iter().find(|(_, count)| **count != wanted) {
            let detail = format!(
                "Number of partitions [{count}] of repartition topic [{name}] doesn't match number of partitions [{wanted}] of the source topic."
            );
            return Err(Failure::topics(StatusCode::IncorrectlyPartitionedTopics, detail));
        }
        let flexible = all.into_keys().filter(|name| repartition.contains(name));
        self.decided.extend(flexible.map(|name| (name, wanted)));
        Ok(())
    }
}

/// The number that all of these have; none if there are none.
fn same(counts: &BTreeMap<&str, i32>) -> Result<Option<i32>, Failure> {
    let first = counts.values().next().copied();
    if counts.values().all(|count| Some(*count) == first) {
        return Ok(first);
    }
    let named: Vec<String> = counts.iter().map(|(name, count)| format!("{name}={count}")).collect();
    let detail = format!("Following topics do not have the same number of partitions: [{{{}}}]", named.join(", "));
    Err(Failure::topics(StatusCode::IncorrectlyPartitionedTopics, detail))
}

fn existing(topics: &Topics, topic: &str) -> Option<i32> {
    i32::try_from(topics.by_name(topic)?.partitions.len()).ok()
}

/// The repartition topics that are read, and whether the application fixes their numbers of partitions.
fn repartition_topics(topology: &StreamsTopology) -> impl Iterator<Item = (&str, bool)> {
    let topics = topology.subtopologies.iter().flat_map(|subtopology| &subtopology.repartition_source_topics);
    topics.map(|topic| (topic.name.as_str(), topic.partitions != 0))
}

/// The topics that belong together.
fn members<'a>(subtopology: &'a Subtopology, group: &CopartitionGroup) -> Result<BTreeSet<&'a str>, Failure> {
    let name_of = |index: &i16, names: &[&'a str]| {
        let found = usize::try_from(*index).ok().and_then(|index| names.get(index).copied());
        let none = || Failure::topology(format!("Subtopology {} has no source topic number {index}.", subtopology.id));
        found.ok_or_else(none)
    };
    let sources: Vec<&str> = subtopology.source_topics.iter().map(String::as_str).collect();
    let repartition: Vec<&str> =
        subtopology.repartition_source_topics.iter().map(|topic| topic.name.as_str()).collect();
    let sources = group.source_topics.iter().map(|index| name_of(index, &sources));
    sources.chain(group.repartition_source_topics.iter().map(|index| name_of(index, &repartition))).collect()
}

/// The numbers of the repartition topics, as long as nothing else has to be the same.
fn repartition_counts<'a>(topology: &'a StreamsTopology, topics: &Topics) -> Result<BTreeMap<&'a str, i32>, Failure> {
    let sources = topology.subtopologies.iter().flat_map(|subtopology| &subtopology.repartition_source_topics);
    let fixed = sources.filter(|topic| topic.partitions != 0).map(|topic| (topic.name.as_str(), topic.partitions));
    let mut counts: BTreeMap<&str, i32> = fixed.collect();
    loop {
        let (mut is_complete, mut is_further) = (true, false);
        for subtopology in &topology.subtopologies {
            for sink in &subtopology.repartition_sink_topics {
                if counts.contains_key(sink.as_str()) {
                    continue;
                }
                match largest_source(subtopology, &counts, topics) {
                    Some(count) => {
                        counts.insert(sink, count);
                        is_further = true;
                    }
                    None => is_complete = false,
                }
            }
        }
        if is_complete {
            break;
        }
        if !is_further {
            return Err(Failure::topology(
                "Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved.",
            ));
        }
    }
    if repartition_topics(topology).any(|(name, _)| !counts.contains_key(name)) {
        return Err(Failure::topology(
            "Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic.",
        ));
    }
    Ok(counts)
}

/// The most partitions of what a subtopology reads, of what is known.
fn largest_source(subtopology: &Subtopology, counts: &BTreeMap<&str, i32>, topics: &Topics) -> Option<i32> {
    let repartition = subtopology.repartition_source_topics.iter().filter_map(|topic| counts.get(topic.name.as_str()));
    let sources = subtopology.source_topics.iter().filter_map(|name| existing(topics, name));
    repartition.copied().chain(sources).max()
}
