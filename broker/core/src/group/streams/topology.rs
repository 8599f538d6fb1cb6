//! The topology of an application, as its members describe it and as it is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::group::consumer::size_of_names;

/// What numbers, lengths and tagged fields add to a struct, at most.
const PER_STRUCT: usize = 48;

/// A topology. Two are the same whatever the order of their subtopologies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamsTopology {
    /// Tells one topology of the application from a later one.
    pub epoch: i32,
    /// Its subtopologies, by id.
    pub subtopologies: Vec<Subtopology>,
}

/// A part of a topology: what its tasks have to do with one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subtopology {
    /// Its id.
    pub id: Arc<str>,
    /// The topics that it reads and that are there without it.
    pub source_topics: Vec<String>,
    /// Patterns of topics that it reads. Kafka does not support any yet.
    pub source_topic_regexes: Vec<String>,
    /// The repartition topics that it writes.
    pub repartition_sink_topics: Vec<String>,
    /// The repartition topics that it reads.
    pub repartition_source_topics: Vec<TopicInfo>,
    /// The changelogs of its states.
    pub changelog_topics: Vec<TopicInfo>,
    /// Topics that have to have the same number of partitions.
    pub copartition_groups: Vec<CopartitionGroup>,
}

/// A topic that is made for an application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its number of partitions; 0: to be found.
    pub partitions: i32,
    /// Its replication factor; 0: the cluster's default.
    pub replication_factor: i16,
    /// What it is configured with.
    pub configs: Vec<(String, String)>,
}

/// Topics that have to have the same number of partitions, by their place in the lists of the subtopology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopartitionGroup {
    /// Places in [`Subtopology::source_topics`].
    pub source_topics: Vec<i16>,
    /// Places in [`Subtopology::source_topic_regexes`].
    pub source_topic_regexes: Vec<i16>,
    /// Places in [`Subtopology::repartition_source_topics`].
    pub repartition_source_topics: Vec<i16>,
}

impl StreamsTopology {
    /// In the order of the ids.
    pub(super) fn sorted(mut self) -> Self {
        self.subtopologies.sort_by(|one, other| one.id.cmp(&other.id));
        self
    }

    /// The topics that have to be there: sources, repartition topics and changelogs.
    pub(super) fn required_topics(&self) -> BTreeSet<&str> {
        self.subtopologies
            .iter()
            .flat_map(|subtopology| {
                subtopology.source_names().chain(subtopology.changelog_topics.iter().map(|topic| topic.name.as_str()))
            })
            .collect()
    }

    /// Every topic that is named.
    pub(super) fn named_topics(&self) -> BTreeSet<&str> {
        let sinks = self.subtopologies.iter().flat_map(|subtopology| &subtopology.repartition_sink_topics);
        sinks.map(String::as_str).chain(self.required_topics()).collect()
    }

    /// The bytes that it takes up in a record, at most.
    pub(super) fn size(&self) -> usize {
        let topic = |topic: &TopicInfo| {
            let configs: usize = topic.configs.iter().map(|(key, value)| size_of_names([key, value])).sum();
            size_of_names([&topic.name]) + configs + PER_STRUCT
        };
        let subtopology = |part: &Subtopology| {
            let names =
                part.source_topics.iter().chain(&part.source_topic_regexes).chain(&part.repartition_sink_topics);
            let topics = part.repartition_source_topics.iter().chain(&part.changelog_topics);
            let places = part.copartition_groups.iter().map(|group| {
                let places = group.source_topics.len() + group.source_topic_regexes.len();
                2 * (places + group.repartition_source_topics.len()) + PER_STRUCT
            });
            part.id.len() + size_of_names(names) + topics.map(topic).sum::<usize>() + places.sum::<usize>() + PER_STRUCT
        };
        self.subtopologies.iter().map(subtopology).sum::<usize>() + PER_STRUCT
    }

    /// The subtopology that reads the topic.
    pub(super) fn reader_of(&self, topic: &str) -> Option<&Subtopology> {
        self.subtopologies.iter().find(|subtopology| subtopology.source_names().any(|name| name == topic))
    }
}

impl Subtopology {
    /// The topics that it reads.
    pub(super) fn source_names(&self) -> impl Iterator<Item = &str> {
        let repartition = self.repartition_source_topics.iter().map(|topic| topic.name.as_str());
        self.source_topics.iter().map(String::as_str).chain(repartition)
    }
}
