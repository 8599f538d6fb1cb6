//! Log directories of a broker: which replica lies in which, and which have failed (KIP-858).

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::partition_change::Proposal;
use super::sweep::{TopicRules, sweep};
use super::{Context, Decision, Error};
use crate::metadata::{BrokerChange, Record};
use crate::mutant::{self, Mutant};
use crate::{BrokerEpoch, BrokerId, DirectoryId, TopicId};

/// A broker says which of its log directories have failed. They stay offline until it registers anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailDirectories {
    /// The broker.
    pub broker: BrokerId,
    /// Its uptime.
    pub epoch: BrokerEpoch,
    /// The failed directories, those it has told of before included or not.
    pub failed: Vec<DirectoryId>,
}

operation!(FailDirectories => (), fail_directories);

/// A broker says in which directories its replicas lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignReplicas {
    /// The broker.
    pub broker: BrokerId,
    /// Its uptime.
    pub epoch: BrokerEpoch,
    /// Topic, index of the partition, directory.
    pub replicas: Vec<(TopicId, i32, DirectoryId)>,
}

operation!(AssignReplicas => Vec<Result<(), Error>>, assign_replicas);

/// The replicas in a failed directory leave every ISR; those that led give up the lead. Unlike an emptied directory a
/// failed one may still hold everything committed, so its replicas stay eligible, to be elected once it is back.
fn fail_directories(operation: FailDirectories, context: &Context<'_>) -> Result<Decision<()>, Error> {
    let broker = context.registered(operation.broker, operation.epoch)?;
    let (failed, left): (Vec<_>, Vec<_>) =
        broker.directories.iter().copied().partition(|directory| operation.failed.contains(directory));
    if failed.is_empty() {
        return Ok(Decision::unchanged(()));
    }
    let change = BrokerChange { directories: Some(left), ..BrokerChange::of(broker) };
    let mut records = vec![Record::BrokerChanged(change)];
    let after = context.after(&records);
    records.extend(sweep(&after, context.settings, |_, _, state| {
        let directory = state.replica_on(broker.id)?.directory;
        let leaves = failed.contains(&directory) && state.isr.contains(&broker.id);
        let leaves = leaves && !mutant::is(Mutant::FailedDirectoryForgotten);
        leaves.then(|| Proposal::without(state, broker.id))
    }));
    Ok(Decision { records, response: () })
}

/// Answers for each replica, in the order of the request.
fn assign_replicas(
    operation: AssignReplicas,
    context: &Context<'_>,
) -> Result<Decision<Vec<Result<(), Error>>>, Error> {
    let broker = context.registered(operation.broker, operation.epoch)?.id;
    let mut image = context.image.clone();
    let (mut records, mut response) = (Vec::new(), Vec::new());
    for (topic, index, directory) in operation.replicas {
        let replica = (topic, index, directory);
        let assigned = assign(broker, replica, &Context { image: &image, ..*context }).map(|record| {
            if let Some(record) = record {
                image.apply(&record).expect("a decision is made of records that fit the image it was made on");
                records.push(record);
            }
        });
        response.push(assigned);
    }
    Ok(Decision { records, response })
}

fn assign(
    broker: BrokerId,
    (topic, index, directory): (TopicId, i32, DirectoryId),
    context: &Context<'_>,
) -> Result<Option<Record>, Error> {
    let topic = context.image.topics().by_id(topic).ok_or(Error::UnknownTopicId)?;
    let state = topic.partition(index).ok_or_else(Error::unknown_topic)?;
    if state.replica_on(broker).is_none() {
        let reason = format!("Broker {broker} holds no replica of {}-{index}.", topic.name);
        return Err(Error::InvalidReplicaAssignment(reason.into()));
    }
    let mut proposal = Proposal::unchanged(state);
    proposal.place(broker, directory);
    let online = context.image.broker(broker).is_some_and(|broker| broker.has_directory(directory));
    if !online {
        proposal.isr.retain(|member| *member != broker);
    }
    Ok(TopicRules::of(context.image, context.settings, topic).record(index, state, proposal))
}
