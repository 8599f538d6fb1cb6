//! Streams groups (KIP-1071): the members are threads of applications of Kafka Streams, and the coordinator gives them
//! tasks. It knows the application's topology, tells which internal topics are missing, and moves a task only when who
//! had it has given it up.
//!
//! As in a group of the consumer protocol ([`consumer`](super::consumer)) a change is applied at once, and whoever is
//! told of it waits for its record. What Kafka 4.3 does not support (static members, patterns, warm-up tasks, changes of
//! a topology) is refused here as there.
//!
//! It must not know wire versions, nor create topics; topics come from the metadata image.

mod assignor;
mod check;
mod config;
mod configure;
pub(super) mod describe;
mod endpoints;
pub(super) mod group;
pub(super) mod heartbeat;
mod member;
pub(super) mod offsets;
mod partition_counts;
mod plan;
mod reconcile;
pub(super) mod record;
mod request;
pub(super) mod session;
mod step;
mod tasks;
mod topology;
mod topology_record;

use std::sync::Arc;

use group::{Change, Group};

use super::Response;
use super::context::Context;
use crate::coordinator::RequestId;

pub use config::StreamsConfig;
pub use request::{
    DescribedStreamsGroup, DescribedStreamsMember, Endpoint, EndpointPartitions, InternalTopic, StatusCode,
    StreamsBeat, StreamsGroupState, StreamsHeartbeat, StreamsStatus,
};
pub use tasks::{Task, TaskSets, Tasks};
pub use topology::{CopartitionGroup, StreamsTopology, Subtopology, TopicInfo};

pub(super) use record::Record;

/// Sends changes of a group to the log, after `records` that have to come first; `answers` are given when they are
/// durable, and all that was sent before.
fn write(
    context: &mut Context,
    group: &Group,
    mut records: Vec<super::record::Record>,
    changes: Vec<Change>,
    answers: impl IntoIterator<Item = (RequestId, Response)>,
) {
    context.write_refused(&group.id, &mut records, || of_group(&group.id, group.snapshot()));
    records.extend(of_group(&group.id, changes));
    context.append_and_answer(&group.id, records, answers);
}

/// Changes of a group as records.
pub(super) fn of_group(group: &Arc<str>, changes: Vec<Change>) -> impl Iterator<Item = super::record::Record> {
    changes.into_iter().map(|change| super::record::Record::Streams(Record { group: Arc::clone(group), change }))
}
