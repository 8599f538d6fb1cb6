//! Share groups (KIP-932): the coordinator gives a partition to several members, which take records of it in turn. Who
//! has taken which records is the business of the partition's leader; here is only who may come to it.
//!
//! As in a group of the consumer protocol ([`consumer`](super::consumer)) a change is applied at once, and whoever is
//! told of it waits for its record. A partition is assigned once the share coordinator has a state of it ([`calls`]).
//!
//! It must not know wire versions, nor where a share coordinator is; topics come from the metadata image.

mod assignor;
pub(super) mod calls;
mod config;
pub(super) mod describe;
pub(super) mod group;
pub(super) mod heartbeat;
mod member;
pub(super) mod offsets;
pub(super) mod record;
mod request;
pub(super) mod session;
mod states;
mod step;

use std::sync::Arc;

use group::{Change, Group};

use super::Response;
use super::context::Context;
use crate::coordinator::RequestId;

pub use calls::{AskStates, CallId, StateCall, StateResults};
pub use config::ShareConfig;
pub use request::{
    AlterShareOffsets, AlteredShareOffsets, AlteredShareTopic, DeleteShareOffsets, DeletedShareOffsets,
    DescribedShareGroup, DescribedShareMember, ShareBeat, ShareGroupState, ShareHeartbeat,
};

pub(super) use record::Record;

/// What is to be done when changes are durable, and all that was sent before.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Requests to answer.
    pub(super) answers: Vec<(RequestId, Response)>,
    /// Calls to make.
    pub(super) calls: Vec<StateCall>,
}

/// Sends changes of a group to the log.
fn write(context: &mut Context, group: &Group, changes: Vec<Change>, told: Told) {
    let mut records = Vec::new();
    context.write_refused(&group.id, &mut records, || of_group(&group.id, group.snapshot()));
    records.extend(of_group(&group.id, changes));
    context.append_and_tell(&group.id, records, told);
}

/// Changes of a group as records.
pub(super) fn of_group(group: &Arc<str>, changes: Vec<Change>) -> impl Iterator<Item = super::record::Record> {
    changes.into_iter().map(|change| super::record::Record::Share(Record { group: Arc::clone(group), change }))
}
