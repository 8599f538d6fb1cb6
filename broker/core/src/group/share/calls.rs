//! What share groups ask of the share coordinators: to make the states of partitions, and to delete them. A call is made
//! when the record that tells of it is durable, so that no state outlives what the group knows of it. A call that was
//! lost is made anew by the next heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::group::Group;
use super::request::{AlteredShareOffsets, DeletedShareOffsets};
use super::step::Step;
use super::{Told, write};
use crate::coordinator::RequestId;
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::{Error, Partitions, Refusal, Response, admin};
use crate::{Offset, TopicId};

/// Identifies a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(u64);

/// A call of the share coordinators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCall {
    /// Which one the answer is to.
    pub id: CallId,
    /// The group.
    pub group: Arc<str>,
    /// What is asked.
    pub ask: AskStates,
}

/// What is asked of the share coordinators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskStates {
    /// InitializeShareGroupState.
    Initialize {
        /// The state epoch.
        epoch: i32,
        /// The partitions with their start offsets; -1 where the leader of the partition is to find it.
        partitions: Vec<(TopicId, i32, Offset)>,
    },
    /// DeleteShareGroupState.
    Delete(Partitions),
}

/// What became of the state of each partition that was asked for.
pub type StateResults = Vec<(TopicId, i32, Result<(), Error>)>;

/// What a call is for, and who waits for it.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// The partitions are to be assigned.
    Assign,
    /// AlterShareGroupOffsets.
    Alter(RequestId, AlteredShareOffsets),
    /// DeleteGroups.
    DeleteGroup(RequestId),
    /// DeleteShareGroupOffsets.
    DeleteOffsets(RequestId, DeletedShareOffsets),
    /// Whoever waited for a deletion was told that it takes too long.
    Abandoned,
}

#[derive(Debug)]
struct Call {
    group: Arc<str>,
    partitions: Partitions,
    deletes: bool,
    purpose: Purpose,
}

/// The calls that have no answer yet.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    open: BTreeMap<CallId, Call>,
    last: CallId,
}

impl Calls {
    fn open(&mut self, group: &Arc<str>, partitions: Partitions, ask: AskStates, purpose: Purpose) -> StateCall {
        self.last.0 += 1;
        let (id, deletes) = (self.last, matches!(ask, AskStates::Delete(_)));
        self.open.insert(id, Call { group: Arc::clone(group), partitions, deletes, purpose });
        StateCall { id, group: Arc::clone(group), ask }
    }

    /// Whether the state of the partition is being made, or one of its topic deleted.
    pub(crate) fn is_under_way(&self, group: &str, topic: TopicId, partition: i32) -> bool {
        let concerns = |call: &Call| {
            call.partitions.contains(topic, partition) || call.deletes && call.partitions.has_topic(topic)
        };
        self.open.values().any(|call| *call.group == *group && concerns(call))
    }

    /// Whether something of the group has no answer yet.
    pub(crate) fn has_any_of(&self, group: &str) -> bool {
        self.open.values().any(|call| *call.group == *group)
    }
}

/// A call that makes states in the group's epoch.
pub(crate) fn initialize(
    context: &mut Context,
    group: &Group,
    partitions: Vec<(TopicId, i32, Offset)>,
    purpose: Purpose,
) -> StateCall {
    let all = partitions.iter().map(|(topic, partition, _)| (*topic, *partition)).collect();
    context.calls.open(&group.id, all, AskStates::Initialize { epoch: group.epoch, partitions }, purpose)
}

/// A call that deletes states.
pub(crate) fn delete(context: &mut Context, group: &Group, partitions: Partitions, purpose: Purpose) -> StateCall {
    context.calls.open(&group.id, partitions.clone(), AskStates::Delete(partitions), purpose)
}

/// The call will not be made: what should have come before it is not durable.
pub(crate) fn drop_call(context: &mut Context, id: CallId, error: Error) {
    if let Some(call) = context.calls.open.remove(&id) {
        refuse(context, call.purpose, error);
    }
}

/// Whoever waits for the call waits no longer; the call may still be made.
pub(crate) fn time_out(context: &mut Context, id: CallId, error: Error) {
    let Some(call) = context.calls.open.get_mut(&id) else { return };
    let nobody = if call.deletes { Purpose::Abandoned } else { Purpose::Assign };
    let purpose = std::mem::replace(&mut call.purpose, nobody);
    refuse(context, purpose, error);
}

/// The coordinator moves: nobody waits any longer.
pub(crate) fn refuse_all(context: &mut Context, error: Error) {
    for call in std::mem::take(&mut context.calls.open).into_values() {
        refuse(context, call.purpose, error);
    }
}

fn refuse(context: &mut Context, purpose: Purpose, error: Error) {
    let (request, response) = match purpose {
        Purpose::Assign | Purpose::Abandoned => return,
        Purpose::Alter(request, _) => (request, Response::AlterShareOffsets(Err(error.into()))),
        Purpose::DeleteGroup(request) => (request, Response::Delete(Err(error))),
        Purpose::DeleteOffsets(request, _) => (request, Response::DeleteShareOffsets(Err(error.into()))),
    };
    context.reply(request, response);
}

/// The share coordinators have answered.
pub(crate) fn answered(coordinator: &mut Coordinator, id: CallId, results: StateResults) {
    let Coordinator { shares, context, .. } = coordinator;
    let Some(call) = context.calls.open.remove(&id) else { return };
    let Some(group) = shares.get_mut(&call.group) else {
        return refuse(context, call.purpose, Error::GroupIdNotFound);
    };
    let mut step = Step::new(group);
    if call.deletes {
        let failed = |topic| results.iter().any(|(other, _, result)| *other == topic && result.is_err());
        let deleted: Vec<TopicId> =
            call.partitions.topics().map(|(topic, _)| topic).filter(|topic| !failed(*topic)).collect();
        step.change_states(|states| deleted.into_iter().for_each(|topic| states.forget(topic)));
    } else {
        step.change_states(|states| {
            for (topic, partition, result) in &results {
                // What has been forgotten meanwhile stays forgotten.
                if states.initializing.contains(*topic, *partition) {
                    states.attempted(*topic, *partition, result.is_ok());
                }
            }
        });
    }
    let changes = step.into_changes();
    let answers = match call.purpose {
        Purpose::Assign | Purpose::Abandoned => Vec::new(),
        Purpose::Alter(request, altered) => vec![(request, Response::AlterShareOffsets(Ok(merge(altered, &results))))],
        Purpose::DeleteOffsets(request, deleted) => {
            vec![(request, Response::DeleteShareOffsets(Ok(merge_topics(deleted, &results))))]
        }
        Purpose::DeleteGroup(request) => {
            write(context, group, changes, Told::default());
            let failure = results.into_iter().find_map(|(_, _, result)| result.err());
            return match failure {
                Some(error) => context.reply(request, Response::Delete(Err(error))),
                None => admin::delete(coordinator, request, &call.group),
            };
        }
    };
    write(context, group, changes, Told { answers, calls: Vec::new() });
}

/// The partitions of the answer that were asked for get what became of them.
fn merge(mut altered: AlteredShareOffsets, results: &StateResults) -> AlteredShareOffsets {
    for (_, id, partitions) in &mut altered {
        for (index, answer) in partitions.iter_mut().filter(|(_, answer)| answer.is_ok()) {
            let found = results.iter().find(|(topic, partition, _)| Some(*topic) == *id && partition == index);
            *answer = found.map_or(Err(Error::UnknownServerError), |(_, _, result)| *result);
        }
    }
    altered
}

/// The same for whole topics.
fn merge_topics(mut deleted: DeletedShareOffsets, results: &StateResults) -> DeletedShareOffsets {
    for (_, id, answer) in deleted.iter_mut().filter(|(_, _, answer)| answer.is_ok()) {
        let failure = results.iter().find_map(|(topic, _, result)| (Some(*topic) == *id).then_some(result.err())?);
        *answer = failure.map_or(Ok(()), |error| Err(Refusal::from(error)));
    }
    deleted
}
