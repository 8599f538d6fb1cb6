//! What the topics that are there make of a topology: how many tasks each subtopology has, how many partitions the
//! internal topics are to have, which of these are missing, and whether everything fits together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::partition_counts::{Counts, decide};
use super::request::{InternalTopic, StatusCode, StreamsStatus};
use super::topology::{StreamsTopology, Subtopology, TopicInfo};
use crate::group::{Error, Refusal};
use crate::metadata::Topics;

/// How many topics are named to a person.
const NAMED: usize = 3;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Configured {
    /// The tasks of each subtopology; none if source topics are missing or do not fit.
    pub(crate) sizes: BTreeMap<Arc<str>, Size>,
    /// The topology with the numbers of partitions of its internal topics.
    pub(crate) topology: StreamsTopology,
    /// The internal topics that are missing.
    pub(crate) missing: Vec<InternalTopic>,
    /// Why there can be no tasks yet.
    pub(crate) problem: Option<StreamsStatus>,
}

/// The tasks of a subtopology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) tasks: i32,
    /// They have state, and so it makes sense to keep copies.
    pub(crate) is_stateful: bool,
}

/// Why a topology comes to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Until topics change.
    Topics(StreamsStatus),
    /// Whatever the topics are.
    Topology(Refusal),
}

impl Failure {
    pub(super) fn topics(code: StatusCode, detail: impl Into<String>) -> Self {
        Self::Topics(StreamsStatus { code, detail: detail.into() })
    }

    pub(super) fn topology(message: impl Into<String>) -> Self {
        Self::Topology(Refusal::new(Error::StreamsInvalidTopology, message))
    }
}

impl Configured {
    /// Whether tasks can be assigned.
    pub(crate) fn is_ready(&self) -> bool {
        self.problem.is_none()
    }
}

/// Looks at the topics; refuses a topology that makes no sense.
pub(crate) fn configure(topology: &StreamsTopology, topics: &Topics) -> Result<Configured, Refusal> {
    match try_configure(topology, topics) {
        Ok(configured) => Ok(configured),
        Err(Failure::Topology(refusal)) => Err(refusal),
        Err(Failure::Topics(problem)) => {
            Ok(Configured { topology: topology.clone(), problem: Some(problem), ..Configured::default() })
        }
    }
}

fn try_configure(topology: &StreamsTopology, topics: &Topics) -> Result<Configured, Failure> {
    check_sources(topology, topics)?;
    let counts = decide(topology, topics)?;
    let mut sizes = BTreeMap::new();
    let mut with_counts = topology.clone();
    for subtopology in &mut with_counts.subtopologies {
        let is_stateful = !subtopology.changelog_topics.is_empty();
        sizes.insert(Arc::clone(&subtopology.id), Size { tasks: counts.of_tasks(subtopology)?, is_stateful });
        fill_in(subtopology, &counts);
    }
    let missing = missing_topics(&with_counts, topics)?;
    let problem = (!missing.is_empty()).then(|| StreamsStatus {
        code: StatusCode::MissingInternalTopics,
        detail: format!("Internal topics are missing: {}", summary(missing.iter().map(|topic| topic.name.as_str()))),
    });
    Ok(Configured { sizes, topology: with_counts, missing, problem })
}

fn check_sources(topology: &StreamsTopology, topics: &Topics) -> Result<(), Failure> {
    let sources = topology.subtopologies.iter().flat_map(|subtopology| &subtopology.source_topics);
    let missing: BTreeSet<&str> = sources.map(String::as_str).filter(|name| topics.by_name(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!("Source topics {} are missing.", summary(missing.into_iter()));
    Err(Failure::topics(StatusCode::MissingSourceTopics, detail))
}

/// Gives the internal topics that have no number of partitions yet theirs.
fn fill_in(subtopology: &mut Subtopology, counts: &Counts<'_>) {
    let internal = subtopology.repartition_source_topics.iter_mut().chain(&mut subtopology.changelog_topics);
    for topic in internal.filter(|topic| topic.partitions == 0) {
        topic.partitions = counts.decided(&topic.name).unwrap_or_default();
    }
}

/// The internal topics that are not there, by name; those that are have to have the right number of partitions.
fn missing_topics(topology: &StreamsTopology, topics: &Topics) -> Result<Vec<InternalTopic>, Failure> {
    let internal = topology
        .subtopologies
        .iter()
        .flat_map(|subtopology| subtopology.repartition_source_topics.iter().chain(&subtopology.changelog_topics));
    let internal: BTreeMap<&str, &TopicInfo> = internal.map(|topic| (topic.name.as_str(), topic)).collect();
    let mut missing = Vec::new();
    for (name, wanted) in internal {
        let Some(found) = topics.by_name(name) else {
            let replication_factor = if wanted.replication_factor == 0 { -1 } else { wanted.replication_factor };
            missing.push(InternalTopic { replication_factor, ..wanted.clone() });
            continue;
        };
        if usize::try_from(wanted.partitions) != Ok(found.partitions.len()) {
            let detail = format!(
                "Existing topic {name} has different number of partitions: expected {}, found {}",
                wanted.partitions,
                found.partitions.len()
            );
            return Err(Failure::topics(StatusCode::IncorrectlyPartitionedTopics, detail));
        }
    }
    Ok(missing)
}

/// The first names, and how many more there are.
fn summary<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} additional topics") }
}

#[cfg(test)]
#[path = "configure_tests.rs"]
mod tests;
