//! The group that a member of the consumer protocol comes to: the one that is there, a new one, or a classic group that
//! changes its protocol for it (KIP-848).

use std::sync::Arc;

use super::group::{Change, Group};
use super::request::Refusal;
use super::upgrade;
use crate::group::context::Context;
use crate::group::coordinator::Coordinator;
use crate::group::record::{GroupChange, Record};
use crate::group::{Error, GroupState};

/// A group that is being worked on, taken out of the coordinator; it has to be settled or abandoned.
pub(super) struct Entry {
    pub(super) group: Group,
    origin: Origin,
}

enum Origin {
    Known,
    New,
    /// A classic group with that id goes; its members, if it has any, are in the new one.
    Classic {
        has_members: bool,
    },
}

impl Entry {
    /// The group called `id`, made if the member joins.
    pub(super) fn open(coordinator: &mut Coordinator, id: &str, is_joining: bool) -> Result<Self, Refusal> {
        if let Some(group) = coordinator.consumers.remove(id) {
            return Ok(Self { group, origin: Origin::Known });
        }
        let is_not_one = || Refusal::new(Error::GroupIdNotFound, format!("Group {id} is not a consumer group."));
        if coordinator.shares.contains_key(id) || coordinator.streams.contains_key(id) {
            return Err(is_not_one());
        }
        match coordinator.groups.get(id) {
            None if is_joining => Ok(Self { group: Group::new(id.into()), origin: Origin::New }),
            None => Err(Refusal::new(Error::GroupIdNotFound, format!("Consumer group {id} not found."))),
            Some(_) if !is_joining => Err(is_not_one()),
            Some(classic) if classic.is(GroupState::Empty) => {
                let (group, origin) = (Group::new(Arc::clone(&classic.id)), Origin::Classic { has_members: false });
                Ok(Self { group, origin })
            }
            Some(classic) => {
                let config = &coordinator.context.config.consumer;
                let is_allowed = config.migration.upgrade && classic.members().len() <= config.max_size;
                let upgrade = || upgrade::to_consumer(classic, coordinator.context.image.topics());
                let group = is_allowed.then(upgrade).flatten().ok_or_else(is_not_one)?;
                Ok(Self { group, origin: Origin::Classic { has_members: true } })
            }
        }
    }

    /// Leaves everything as it was; gives `refusal` back.
    pub(super) fn abandon(self, coordinator: &mut Coordinator, refusal: Refusal) -> Refusal {
        if let Origin::Known = self.origin {
            coordinator.consumers.insert(Arc::clone(&self.group.id), self.group);
        }
        refusal
    }

    /// Makes it the coordinator's group; also gives the records that come before its own.
    pub(super) fn settle(self, coordinator: &mut Coordinator) -> (Vec<Record>, &mut Group, &mut Context) {
        let id = Arc::clone(&self.group.id);
        let mut records = Vec::new();
        if let Origin::Classic { has_members } = self.origin {
            upgrade::retire(coordinator, &id);
            records.push(Record::Group(GroupChange { group: Arc::clone(&id), value: None }));
            records.extend(of_group(&id, if has_members { self.group.snapshot() } else { Vec::new() }));
        }
        let Coordinator { consumers, context, .. } = coordinator;
        (records, consumers.entry(id).or_insert(self.group), context)
    }
}

/// Changes of a group as records.
pub(in crate::group) fn of_group(group: &Arc<str>, changes: Vec<Change>) -> impl Iterator<Item = Record> {
    changes.into_iter().map(|change| Record::Consumer(super::Record { group: Arc::clone(group), change }))
}
