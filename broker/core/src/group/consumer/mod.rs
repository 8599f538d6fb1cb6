//! Groups of the consumer protocol (KIP-848): the coordinator assigns, members only say what they own.
//!
//! A request decides by pure rules ([`step`], [`reconcile`], [`assignor`]); its changes are applied to the group at once,
//! in the order in which they go to the log, and it is answered when they are durable. If the log refuses them, the next
//! append writes the whole group, so that the log follows what members were told and never the other way round. The
//! records of one change may be of several appends: their order matters, and each makes sense without those to come.
//!
//! It must not know wire versions; topics come from the metadata image.

mod assignor;
pub(super) mod classic;
mod config;
pub(super) mod describe;
mod downgrade;
mod embedded;
mod entry;
pub(super) mod group;
pub(super) mod heartbeat;
mod member;
pub(super) mod offsets;
mod partitions;
mod pattern;
mod reconcile;
pub(super) mod record;
mod request;
pub(super) mod session;
mod step;
pub(super) mod topics;
mod upgrade;

use group::{Change, Group};

pub(super) use entry::of_group;
pub(super) use member::{MAX_SAID, size_of_names};
pub(super) use step::metadata_hash;
pub(super) use upgrade::retire;

use super::Response;
use super::context::Context;
use crate::coordinator::RequestId;

pub use assignor::Assignor;
pub use config::{ConsumerConfig, MigrationPolicy};
pub use partitions::Partitions;
pub use request::{
    Beat, ConsumerGroupState, ConsumerHeartbeat, DescribedConsumer, DescribedConsumerGroup, JOIN, LEAVE,
    LEAVE_FOR_A_WHILE, NamedPartitions, Refusal,
};

pub(super) use record::Record;

/// Sends changes of a group to the log, after `records` that have to come first; `answers` are given when they are
/// durable, and all that was sent before.
fn write(
    context: &mut Context,
    group: &mut Group,
    mut records: Vec<super::record::Record>,
    changes: Vec<Change>,
    answers: impl IntoIterator<Item = (RequestId, Response)>,
) {
    context.write_refused(&group.id, &mut records, || of_group(&group.id, group.snapshot()));
    records.extend(of_group(&group.id, changes));
    context.append_and_answer(&group.id, records, answers);
}
