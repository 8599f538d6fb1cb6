//! AlterPartitionReassignments: copies of a partition move to other brokers (KIP-455, KIP-860).
//!
//! Only begins, replaces and cancels moves; [`super::partition_change`] ends them.

use serde::{Deserialize, Serialize};

use super::assignment::check_copies;
use super::command::operation;
use super::partition_change::Proposal;
use super::placement::Directories;
use super::sweep::TopicRules;
use super::{Context, Decision, Error, MAX_PARTITIONS_PER_REQUEST};
use crate::BrokerId;
use crate::metadata::{Image, Partition, Record, Replica, Topic};

/// What is wanted of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassignment {
    /// Name of the topic.
    pub topic: String,
    /// Index.
    pub partition: i32,
    /// The copies it is to have in the end, the preferred leader first; `None` cancels the move under way.
    pub target: Option<Vec<BrokerId>>,
}

/// Begins, replaces and cancels moves, each on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterPartitionReassignments {
    /// The partitions.
    pub reassignments: Vec<Reassignment>,
    /// Whether a target may have another number of copies than the partition (KIP-860).
    pub allow_replication_factor_change: bool,
}

type Results = Vec<Result<(), Error>>;

operation!(AlterPartitionReassignments => Vec<Result<(), Error>>, alter_reassignments);

/// Answers for each reassignment, in the order of the request.
fn alter_reassignments(
    operation: AlterPartitionReassignments,
    context: &Context<'_>,
) -> Result<Decision<Results>, Error> {
    if operation.reassignments.len() > MAX_PARTITIONS_PER_REQUEST {
        return Err(Error::PolicyViolation("Excessively large number of partitions per request.".into()));
    }
    // A partition may be named twice: the second is decided upon the first.
    let mut image = context.image.clone();
    let mut directories = Directories::new(context.image);
    let (mut records, mut response) = (Vec::new(), Vec::new());
    for reassignment in &operation.reassignments {
        let may_change = operation.allow_replication_factor_change;
        let result = alter(reassignment, may_change, &image, context, &mut directories).map(|record| {
            if let Some(record) = record {
                image.apply(&record).expect("a decision is made of records that fit the image it was made on");
                records.push(record);
            }
        });
        response.push(result);
    }
    Ok(Decision { records, response })
}

fn alter(
    wanted: &Reassignment,
    factor_may_change: bool,
    image: &Image,
    context: &Context<'_>,
    directories: &mut Directories<'_>,
) -> Result<Option<Record>, Error> {
    let Reassignment { topic: name, partition: index, target } = wanted;
    let unknown = |what: String| Error::UnknownTopicOrPartition(what.into());
    let topic = image.topic(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let before = topic.partition(*index).ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    let rules = TopicRules::of(image, context.settings, topic);
    let target = match target {
        Some(brokers) => changed(before, brokers, factor_may_change, image, directories)?,
        None => original(before, topic, *index, &rules)?,
    };
    Ok(rules.record(*index, before, Proposal::towards(before, &target)))
}

/// The copies on `brokers`: those that are there stay in their directories, others get one.
fn changed(
    before: &Partition,
    brokers: &[BrokerId],
    factor_may_change: bool,
    image: &Image,
    directories: &mut Directories<'_>,
) -> Result<Vec<Replica>, Error> {
    check_copies(image, brokers, |id| before.replica_on(id).is_some())?;
    let factor = before.target().count();
    if !factor_may_change && factor != brokers.len() {
        let reason = format!("The replication factor is changed from {factor} to {}", brokers.len());
        return Err(Error::InvalidReplicationFactor(reason.into()));
    }
    let known = brokers.iter().filter_map(|id| image.broker(*id));
    let copies =
        known.map(|broker| before.replica_on(broker.id).copied().unwrap_or_else(|| directories.replica(broker)));
    Ok(copies.collect())
}

/// The copies that the partition had before its move began.
fn original(before: &Partition, topic: &Topic, index: i32, rules: &TopicRules<'_>) -> Result<Vec<Replica>, Error> {
    if !before.is_moving() {
        return Err(Error::NoReassignmentInProgress);
    }
    let original: Vec<_> =
        before.replicas.iter().copied().filter(|replica| !before.adding.contains(&replica.broker)).collect();
    let in_sync = original.iter().any(|replica| before.isr.contains(&replica.broker));
    if !in_sync && !rules.unclean() {
        let reason = format!(
            "Unable to revert partition assignment for {}:{index} because it would require an unclean leader election.",
            topic.name
        );
        return Err(Error::InvalidReplicaAssignment(reason.into()));
    }
    Ok(original)
}
