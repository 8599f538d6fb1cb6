//! What administrators ask: list, describe and delete groups.

use super::context::Then;
use super::coordinator::Coordinator;
use super::event::Response;
use super::record::{GroupChange, Record};
use super::request::{Described, GroupState, ListFilter, Listed};
use super::{Error, offsets};
use crate::coordinator::RequestId;

/// The only type of groups here (KIP-848).
const TYPE: &str = "classic";

/// Handles ListGroups.
pub(super) fn list(coordinator: &Coordinator, filter: &ListFilter) -> Vec<Listed> {
    let passes = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n.eq_ignore_ascii_case(name));
    if !passes(&filter.types, TYPE) {
        return Vec::new();
    }
    let groups = coordinator.groups.values().filter(|group| passes(&filter.states, group.state().name()));
    groups
        .map(|group| Listed {
            group: group.id.to_string(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state(),
        })
        .collect()
}

/// Handles DescribeGroups for one group.
pub(super) fn describe(coordinator: &Coordinator, group: &str) -> Result<Described, Error> {
    let group = coordinator.groups.get(group).ok_or(Error::GroupIdNotFound)?;
    // Between generations what members say belongs to no protocol yet.
    let protocol = group.protocol.as_deref().filter(|_| group.is(GroupState::Stable));
    Ok(Described {
        state: group.state(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol: protocol.unwrap_or_default().to_owned(),
        members: group.members().map(|member| member.to_described(protocol)).collect(),
    })
}

/// Handles DeleteGroups for one group: its offsets go with it. Answered when durable.
pub(super) fn delete(coordinator: &mut Coordinator, request: RequestId, group: &str) {
    let checked = match coordinator.groups.get(group) {
        None => Err(Error::GroupIdNotFound),
        Some(group) if !group.is(GroupState::Empty) => Err(Error::NonEmptyGroup),
        Some(group) => Ok(group.id.clone()),
    };
    let group = match checked {
        Ok(group) => group,
        Err(error) => return coordinator.context.reply(request, Response::Delete(Err(error))),
    };
    let keys = offsets::offset_keys(coordinator, &group);
    let mut records = offsets::tombstones(&group, keys);
    records.push(Record::Group(GroupChange { group: group.clone(), value: None }));
    coordinator.context.append(&group, records, Then::Delete(request));
}
