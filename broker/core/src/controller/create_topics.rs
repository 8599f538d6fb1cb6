//! CreateTopics: names, assignments, configurations; what a topic is from its first moment.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::assignment::{first_state, manual};
use super::command::operation;
use super::configs::check_topic_configs;
use super::placement::Placer;
use super::{Context, Decision, Error, MAX_PARTITIONS_PER_REQUEST};
use crate::metadata::{Image, Record, Replica, Resource, Topic};
use crate::quota::Budget;
use crate::{BrokerId, TopicId, TopicName};

/// The brokers of one partition, given by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionAssignment {
    /// Index of the partition.
    pub partition: i32,
    /// Its copies, the preferred leader first.
    pub brokers: Vec<BrokerId>,
}

/// A topic to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// The wanted name, as the client sent it.
    pub name: String,
    /// The identity it gets, made by the driver.
    pub id: TopicId,
    /// How many partitions; −1 for num.partitions, or when `assignments` say.
    pub partitions: i32,
    /// How many copies; −1 for default.replication.factor, or when `assignments` say.
    pub replication_factor: i16,
    /// The copies of every partition, or nothing to have them placed.
    pub assignments: Vec<PartitionAssignment>,
    /// Configurations of its own.
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic that is all defaults, as auto-creation makes it.
    pub fn with_defaults(name: impl Into<String>, id: TopicId) -> Self {
        let (name, assignments, configs) = (name.into(), Vec::new(), Vec::new());
        Self { name, id, partitions: -1, replication_factor: -1, assignments, configs }
    }
}

/// Creates topics, each on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTopics {
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// Only say whether it could be done.
    pub validate_only: bool,
}

/// What a topic came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedTopic {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: i32,
    /// How many copies of the first partition.
    pub replication_factor: i16,
}

type Results = Vec<(String, Result<CreatedTopic, Error>)>;

operation!(CreateTopics => Vec<(String, Result<CreatedTopic, Error>)>, create_topics);

/// Answers once for every distinct name, in the order of the request.
fn create_topics(operation: CreateTopics, context: &Context<'_>) -> Result<Decision<Results>, Error> {
    let too_many = total_partitions(&operation.topics, context) > MAX_PARTITIONS_PER_REQUEST;
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for topic in &operation.topics {
        if !seen.insert(topic.name.as_str()) {
            twice.insert(topic.name.clone());
        }
    }
    let mut answered = BTreeSet::new();
    // Two new topics may collide with each other, so each is decided on an image that has those before it.
    let (mut image, mut budget) = (context.image.clone(), context.budget);
    let (mut records, mut response) = (Vec::new(), Vec::new());
    for topic in &operation.topics {
        let result = if twice.contains(&topic.name) {
            Err(Error::InvalidRequest("Duplicate topic name.".into()))
        } else if too_many {
            Err(Error::PolicyViolation("Excessively large number of partitions per request.".into()))
        } else {
            create_topic(topic, &mut budget, context, &mut image, &mut records)
        };
        if answered.insert(topic.name.as_str()) {
            response.push((topic.name.clone(), result));
        }
    }
    if operation.validate_only {
        records.clear();
    }
    Ok(Decision { records, response })
}

fn total_partitions(topics: &[NewTopic], context: &Context<'_>) -> usize {
    let of = |topic: &NewTopic| match topic.partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        -1 => context.settings.number("num.partitions"),
        count => usize::try_from(count).unwrap_or(0),
    };
    topics.iter().map(of).fold(0, usize::saturating_add)
}

/// Decides one topic: its records are added and its name is taken in `image`.
fn create_topic(
    topic: &NewTopic,
    budget: &mut Budget,
    context: &Context<'_>,
    image: &mut Image,
    records: &mut Vec<Record>,
) -> Result<CreatedTopic, Error> {
    if let Some(existing) = image.topic(&topic.name).filter(|existing| existing.id == topic.id) {
        return Ok(created_before(existing));
    }
    let name = check_name(&topic.name, image)?;
    let configs = wanted_configs(topic)?;
    check_topic_configs(&configs, context.settings)?;
    let copies = copies(topic, context)?;
    budget.spend(copies.len())?;
    let created = CreatedTopic {
        id: topic.id,
        partitions: i32::try_from(copies.len()).expect("a request's partitions are limited"),
        replication_factor: i16::try_from(copies[0].len()).expect("copies are limited by brokers, or by an i16"),
    };
    let topic_created = Record::TopicCreated { name, id: topic.id };
    image.apply(&topic_created).map_err(|_| Error::Unknown("the topic's id is taken".into()))?;
    records.push(topic_created);
    let resource = Resource::topic(topic.name.as_str());
    records.extend(configs.into_iter().map(|(key, value)| Record::ConfigChanged {
        resource: resource.clone(),
        key,
        value: Some(value),
    }));
    records.extend((0..).zip(copies).map(|(partition, replicas)| Record::PartitionCreated {
        topic: topic.id,
        partition,
        state: first_state(context.image, replicas),
    }));
    Ok(created)
}

/// The answer to a topic that this very command has created before: ids are drawn for each command, so that it can be
/// repeated when its answer was lost.
fn created_before(topic: &Topic) -> CreatedTopic {
    let count = |number: usize| i32::try_from(number).expect("partitions are numbered by an i32");
    let copies = topic.partition(0).map_or(0, |state| state.replicas.len());
    CreatedTopic {
        id: topic.id,
        partitions: count(topic.partitions.len()),
        replication_factor: i16::try_from(copies).expect("copies are limited by brokers, or by an i16"),
    }
}

fn check_name(name: &str, image: &Image) -> Result<TopicName, Error> {
    if name == "__cluster_metadata" {
        return Err(Error::InvalidRequest(format!("Creation of internal topic {name} is prohibited.").into()));
    }
    let valid = TopicName::new(name).map_err(|_| Error::InvalidTopic(why_no_name(name).into()))?;
    if image.topic(name).is_some() {
        return Err(Error::TopicAlreadyExists(name.to_owned()));
    }
    if let Some(existing) = image.topics().colliding_with(&valid) {
        return Err(Error::InvalidTopic(format!("Topic '{name}' collides with existing topic: {existing}").into()));
    }
    Ok(valid)
}

/// Why `name` is no topic name, as Kafka's clients know it.
fn why_no_name(name: &str) -> String {
    let longest = TopicName::MAX_LENGTH;
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.len() > longest => {
            let shown: String = name.chars().take(2 * longest).collect();
            format!("the length of '{shown}' is longer than the max allowed length {longest}")
        }
        _ => format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
    };
    format!("Topic name is invalid: {reason}")
}

/// The topic's own configuration; the last of several values for a key counts.
fn wanted_configs(topic: &NewTopic) -> Result<BTreeMap<String, String>, Error> {
    let nulls: Vec<_> =
        topic.configs.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.as_str()).collect();
    if !nulls.is_empty() {
        let reason = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(Error::InvalidConfig(reason.into()));
    }
    Ok(topic.configs.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect())
}

/// The copies of each partition; at least one partition.
fn copies(topic: &NewTopic, context: &Context<'_>) -> Result<Vec<Vec<Replica>>, Error> {
    if !topic.assignments.is_empty() {
        return manual_copies(topic, context.image);
    }
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        let reason = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(Error::InvalidReplicationFactor(reason.into()));
    }
    if topic.partitions < -1 || topic.partitions == 0 {
        let reason = "Number of partitions was set to an invalid non-positive value.";
        return Err(Error::InvalidPartitions(reason.into()));
    }
    let settings = context.settings;
    let partitions = usize::try_from(topic.partitions).unwrap_or_else(|_| settings.number("num.partitions"));
    let factor =
        usize::try_from(topic.replication_factor).unwrap_or_else(|_| settings.number("default.replication.factor"));
    let seed = topic.id.0.as_u64_pair();
    Placer::new(context.image, seed.0 ^ seed.1).place(0, partitions, factor)
}

fn manual_copies(topic: &NewTopic, image: &Image) -> Result<Vec<Vec<Replica>>, Error> {
    for (wanted, what) in
        [(i32::from(topic.replication_factor), "replication factor"), (topic.partitions, "numPartitions")]
    {
        if wanted != -1 {
            let reason = format!("A manual partition assignment was specified, but {what} was not set to -1.");
            return Err(Error::InvalidRequest(reason.into()));
        }
    }
    let mut by_index = BTreeMap::new();
    let mut factor = None;
    for PartitionAssignment { partition, brokers } in &topic.assignments {
        if by_index.contains_key(partition) {
            let reason = format!("Found multiple manual partition assignments for partition {partition}");
            return Err(Error::InvalidReplicaAssignment(reason.into()));
        }
        by_index.insert(*partition, manual(image, *partition, brokers, factor)?);
        factor = Some(brokers.len());
    }
    if !(0..).zip(by_index.keys()).all(|(expected, index): (i32, _)| expected == *index) {
        let reason = "partitions should be a consecutive 0-based integer sequence";
        return Err(Error::InvalidReplicaAssignment(reason.into()));
    }
    Ok(by_index.into_values().collect())
}
