//! What goes into the coordinator and what comes out. The driver performs the effects in their order.

use std::convert::Infallible;

use super::error::Error;
use super::request::{
    Commit, DeleteOffsets, Described, FetchOffsets, FetchedTopic, Heartbeat, Join, Joined, Leave, LeftMember,
    ListFilter, Listed, PartitionResults, Sync, Synced,
};
use crate::{ProducerId, TopicName, coordinator};

/// What happens to a group coordinator.
pub type Event = coordinator::Event<Request, Note>;

/// What its driver has to do.
pub type Effect = coordinator::Effect<Response, Infallible>;

/// What a group coordinator has to know besides requests.
#[derive(Clone, Debug)]
pub enum Note {
    /// Topics are gone: their committed offsets go too.
    TopicsDeleted(Vec<TopicName>),
    /// The marker of a transaction is durable in the coordinator's partition.
    TransactionEnded {
        /// The producer.
        producer: ProducerId,
        /// Committed, or aborted.
        commit: bool,
    },
    /// The whole process stood still past its deadlines: heartbeats may wait unread, so sessions begin anew.
    Stalled,
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
