//! CreatePartitions: a topic grows, never shrinks.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::assignment::{first_state, manual};
use super::command::operation;
use super::placement::Placer;
use super::{Context, Decision, Error, MAX_PARTITIONS_PER_REQUEST};
use crate::BrokerId;
use crate::metadata::{Record, Replica, Topic};
use crate::quota::Budget;

/// A topic to grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MorePartitions {
    /// The topic.
    pub topic: String,
    /// How many partitions it is to have in all.
    pub count: i32,
    /// The copies of each new partition, or `None` to have them placed.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Grows topics, each on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePartitions {
    /// The topics.
    pub topics: Vec<MorePartitions>,
    /// Only say whether it could be done.
    pub validate_only: bool,
}

type Results = Vec<(String, Result<(), Error>)>;

operation!(CreatePartitions => Vec<(String, Result<(), Error>)>, create_partitions);

/// Answers once for every distinct name, in the order of the request.
fn create_partitions(operation: CreatePartitions, context: &Context<'_>) -> Result<Decision<Results>, Error> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    twice.extend(operation.topics.iter().map(|more| more.topic.as_str()).filter(|name| !seen.insert(*name)));
    let (mut records, mut response, mut budget) = (Vec::new(), Results::new(), context.budget);
    for more in &operation.topics {
        let result = if twice.contains(more.topic.as_str()) {
            Err(Error::InvalidRequest("Duplicate topic name.".into()))
        } else {
            grow(more, &mut budget, context, MAX_PARTITIONS_PER_REQUEST - records.len())
                .map(|grown| records.extend(grown))
        };
        if !response.iter().any(|(name, _)| twice.contains(name.as_str()) && *name == more.topic) {
            response.push((more.topic.clone(), result));
        }
    }
    if operation.validate_only {
        records.clear();
    }
    Ok(Decision { records, response })
}

fn grow(more: &MorePartitions, budget: &mut Budget, context: &Context<'_>, limit: usize) -> Result<Vec<Record>, Error> {
    let unknown = || Error::UnknownTopicOrPartition("".into());
    let topic = context.image.topic(&more.topic).ok_or_else(unknown)?;
    let first = topic.partitions.len();
    let additional = usize::try_from(more.count).unwrap_or(0).saturating_sub(first);
    if additional == 0 {
        let reason = if usize::try_from(more.count) == Ok(first) {
            format!("Topic already has {first} partition(s).")
        } else {
            let MorePartitions { topic, count, .. } = more;
            format!("The topic {topic} currently has {first} partition(s); {count} would not be an increase.")
        };
        return Err(Error::InvalidPartitions(reason.into()));
    }
    if additional > limit {
        return Err(Error::PolicyViolation("Excessively large number of partitions per request.".into()));
    }
    let copies = copies(more, topic, additional, context)?;
    budget.spend(additional)?;
    let index = i32::try_from(first).expect("a topic's partitions were counted in an i32");
    let created = (index..).zip(copies).map(|(partition, replicas)| Record::PartitionCreated {
        topic: topic.id,
        partition,
        state: first_state(context.image, replicas),
    });
    Ok(created.collect())
}

fn copies(
    more: &MorePartitions,
    topic: &Arc<Topic>,
    additional: usize,
    context: &Context<'_>,
) -> Result<Vec<Vec<Replica>>, Error> {
    let first = topic.partitions.len();
    let factor = topic.partitions.first().map_or(1, |state| state.target().count());
    let Some(assignments) = &more.assignments else {
        let seed = topic.id.0.as_u64_pair();
        return Placer::new(context.image, seed.0 ^ seed.1).place(first, additional, factor);
    };
    if assignments.len() != additional {
        let reason = format!(
            "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        );
        return Err(Error::InvalidReplicaAssignment(reason.into()));
    }
    let index = i32::try_from(first).expect("a topic's partitions were counted in an i32");
    let given = (index..).zip(assignments);
    given.map(|(partition, brokers)| manual(context.image, partition, brokers, Some(factor))).collect()
}
