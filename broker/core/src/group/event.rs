//! What goes into the coordinator and what comes out. The driver performs the effects in their order.

use super::error::Error;
use super::request::{
    Commit, DeleteOffsets, Described, FetchOffsets, FetchedTopic, Heartbeat, Join, Joined, Leave, LeftMember,
    ListFilter, Listed, PartitionResults, Sync, Synced,
};
use crate::TopicName;
use crate::coordinator::{AppendError, AppendId, EncodedRecord, RequestId};

/// What happens to a coordinator.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "an event lives for one call and is never stored")]
pub enum Event {
    /// A request; exactly one [`Effect::Reply`] answers it, now or later.
    Request(RequestId, Request),
    /// The records of an [`Effect::Append`] are durable (`Ok`), or were certainly not appended (`Err`).
    /// `Ok` must be reported in the order of the appends.
    Appended(AppendId, Result<(), AppendError>),
    /// Topics are gone: their committed offsets go too.
    TopicsDeleted(Vec<TopicName>),
    /// The whole process stood still past its deadlines: heartbeats may wait unread, so sessions begin anew. To be
    /// handled before the tick.
    Stalled,
    /// The time of [`next_deadline`](super::Coordinator::next_deadline) has come. Harmless when early.
    Tick,
}

/// A request about groups or offsets. The answer is the [`Response`] of the same name.
#[derive(Clone, Debug)]
pub enum Request {
    /// JoinGroup.
    Join(Join),
    /// SyncGroup.
    Sync(Sync),
    /// Heartbeat.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(Leave),
    /// OffsetCommit.
    Commit(Commit),
    /// OffsetFetch of one group.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// ListGroups: those of this coordinator.
    List(ListFilter),
    /// DescribeGroups, one group.
    Describe(String),
    /// DeleteGroups, one group.
    Delete(String),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To Join.
    Join(Joined),
    /// To Sync.
    Sync(Result<Synced, Error>),
    /// To Heartbeat.
    Heartbeat(Result<(), Error>),
    /// To Leave: one answer per member asked for, in order.
    Leave(Result<Vec<LeftMember>, Error>),
    /// To Commit: per partition, or an error that holds for every one.
    Commit(Result<PartitionResults, Error>),
    /// To FetchOffsets.
    FetchOffsets(Result<Vec<FetchedTopic>, Error>),
    /// To DeleteOffsets: per partition, or an error of the whole request.
    DeleteOffsets(Result<PartitionResults, Error>),
    /// To List.
    List(Vec<Listed>),
    /// To Describe.
    Describe(Result<Described, Error>),
    /// To Delete.
    Delete(Result<(), Error>),
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a request.
    Reply(RequestId, Response),
    /// Append these records as one batch, and report [`Event::Appended`]. Appends keep their order.
    Append(AppendId, Vec<EncodedRecord>),
}
