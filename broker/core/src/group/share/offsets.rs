//! What administrators do with the offsets of share groups that have no members, and with the groups themselves.

use std::sync::Arc;

use super::calls::{self, Purpose};
use super::group::Group;
use super::request::{AlterShareOffsets, DeleteShareOffsets};
use super::step::Step;
use super::{Told, write};
use crate::coordinator::{MAX_STRING, RequestId};
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::{Error, Partitions, Refusal, Response};
use crate::metadata::Topics;
use crate::{Offset, TopicId};

/// Handles AlterShareGroupOffsets: the states of the partitions are made anew with the offsets given. Answered when that
/// is known to have succeeded.
pub(crate) fn alter(coordinator: &mut Coordinator, request: RequestId, alter: AlterShareOffsets) {
    if let Err(refusal) = check_alter(coordinator, &alter.group) {
        return coordinator.context.reply(request, Response::AlterShareOffsets(Err(refusal)));
    }
    let Coordinator { shares, context, .. } = coordinator;
    let image = Arc::clone(&context.image);
    let mut offsets = Vec::new();
    let mut altered = Vec::with_capacity(alter.topics.len());
    for (name, partitions) in alter.topics {
        let topic = image.topics().by_name(&name);
        let mut answers = Vec::with_capacity(partitions.len());
        for (index, offset) in partitions {
            let found = topic.filter(|topic| topic.partition(index).is_some());
            offsets.extend(found.map(|topic| (topic.id, index, offset)));
            answers.push((index, found.map(|_| ()).ok_or(Error::UnknownTopicOrPartition)));
        }
        altered.push((name, topic.map(|topic| topic.id), answers));
    }
    if offsets.is_empty() {
        return context.reply(request, Response::AlterShareOffsets(Ok(altered)));
    }
    let group = shares.entry(alter.group.as_str().into()).or_insert_with_key(|id| Group::new(Arc::clone(id)));
    let mut step = Step::new(group);
    step.initialize(
        &offsets.iter().map(|(topic, index, _): &(TopicId, i32, Offset)| (*topic, *index)).collect(),
        &image,
    );
    let changes = step.into_changes();
    let call = calls::initialize(context, group, offsets, Purpose::Alter(request, altered));
    write(context, group, changes, Told { answers: Vec::new(), calls: vec![call] });
}

fn check_alter(coordinator: &Coordinator, id: &str) -> Result<(), Refusal> {
    if id.is_empty() || id.len() > MAX_STRING {
        return Err(Error::InvalidGroupId.into());
    }
    match coordinator.shares.get(id) {
        Some(group) => check_idle(coordinator, group).map_err(Refusal::from),
        None if coordinator.has_group(id) => coordinator.share_group(id).map(drop),
        None => Ok(()),
    }
}

/// Only a group without members may be worked on, and by one at a time.
fn check_idle(coordinator: &Coordinator, group: &Group) -> Result<(), Error> {
    if !group.is_empty() {
        return Err(Error::NonEmptyGroup);
    }
    if coordinator.context.calls.has_any_of(&group.id) {
        return Err(Error::CoordinatorNotAvailable);
    }
    Ok(())
}

/// Handles DeleteShareGroupOffsets. Answered when the states of the topics are known to be deleted.
pub(crate) fn delete(coordinator: &mut Coordinator, request: RequestId, delete: DeleteShareOffsets) {
    let checked = coordinator.share_group(&delete.group).and_then(|group| Ok(check_idle(coordinator, group)?));
    if let Err(refusal) = checked {
        return coordinator.context.reply(request, Response::DeleteShareOffsets(Err(refusal)));
    }
    let Coordinator { shares, context, .. } = coordinator;
    let Some(group) = shares.get_mut(delete.group.as_str()) else { return };
    let image = Arc::clone(&context.image);
    let mut doomed = Partitions::default();
    let mut deleted = Vec::with_capacity(delete.topics.len());
    for name in delete.topics {
        let topic = image.topics().by_name(&name).map(|topic| topic.id);
        let partitions = topic.map(|topic| group.states.deletable(topic, image.topics())).unwrap_or_default();
        let answer = match topic {
            None => Err(Error::UnknownTopicOrPartition.into()),
            Some(_) if partitions.is_empty() => {
                Err(Refusal::new(Error::UnknownTopicOrPartition, "There is no offset information to delete."))
            }
            Some(_) => Ok(()),
        };
        doomed.extend(partitions.iter());
        deleted.push((name, topic, answer));
    }
    if doomed.is_empty() {
        return context.reply(request, Response::DeleteShareOffsets(Ok(deleted)));
    }
    begin_deletion(context, group, doomed, Purpose::DeleteOffsets(request, deleted));
}

/// Deletes the states of a group that is to be deleted, and then the group. False if it has none, or is no share group.
pub(crate) fn delete_all(coordinator: &mut Coordinator, request: RequestId, id: &str) -> Result<bool, Error> {
    let Some(group) = coordinator.shares.get(id) else { return Ok(false) };
    check_idle(coordinator, group)?;
    let Coordinator { shares, context, .. } = coordinator;
    let Some(group) = shares.get_mut(id) else { return Ok(false) };
    let image = Arc::clone(&context.image);
    let doomed = all_states(group, image.topics());
    if doomed.is_empty() {
        return Ok(false);
    }
    begin_deletion(context, group, doomed, Purpose::DeleteGroup(request));
    Ok(true)
}

fn all_states(group: &Group, topics: &Topics) -> Partitions {
    group.states.topics().flat_map(|topic| group.states.deletable(topic, topics).iter().collect::<Vec<_>>()).collect()
}

fn begin_deletion(context: &mut Context, group: &mut Group, doomed: Partitions, purpose: Purpose) {
    let mut step = Step::new(group);
    step.change_states(|states| doomed.topics().for_each(|(topic, _)| states.begin_deleting(topic)));
    let changes = step.into_changes();
    let call = calls::delete(context, group, doomed, purpose);
    write(context, group, changes, Told { answers: Vec::new(), calls: vec![call] });
}

/// Topics are gone, and their states with them.
pub(crate) fn topics_deleted(coordinator: &mut Coordinator, topics: &[TopicId]) {
    let Coordinator { shares, context, .. } = coordinator;
    for group in shares.values_mut() {
        let mut step = Step::new(group);
        step.change_states(|states| topics.iter().for_each(|topic| states.forget(*topic)));
        let changes = step.into_changes();
        if !changes.is_empty() {
            write(context, group, changes, Told::default());
        }
    }
}
