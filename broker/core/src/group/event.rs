//! What goes into the coordinator and what comes out. The driver performs the effects in their order.

use std::sync::Arc;

use super::consumer::{Beat, ConsumerHeartbeat, DescribedConsumerGroup, Refusal};
use super::counts::GroupCounts;
use super::error::Error;
use super::request::{
    Commit, DeleteOffsets, Described, FetchOffsets, FetchedTopic, Heartbeat, Join, Joined, Leave, LeftMember,
    ListFilter, Listed, PartitionResults, Sync, Synced,
};
use super::share::{
    AlterShareOffsets, AlteredShareOffsets, CallId, DeleteShareOffsets, DeletedShareOffsets, DescribedShareGroup,
    ShareBeat, ShareHeartbeat, StateCall, StateResults,
};
use super::streams::{DescribedStreamsGroup, StreamsBeat, StreamsHeartbeat};
use crate::group::Partitions;
use crate::metadata::Image;
use crate::{ProducerId, coordinator};

/// What happens to a group coordinator.
pub type Event = coordinator::Event<Request, Note>;

/// What its driver has to do.
pub type Effect = coordinator::Effect<Response, StateCall>;

/// What a group coordinator has to know besides requests.
#[derive(Clone, Debug)]
pub enum Note {
    /// The cluster as it is now: committed offsets for topics that are gone go too, and who subscribes to a topic that
    /// has changed is assigned anew.
    Metadata(Arc<Image>),
    /// The marker of a transaction is durable in the coordinator's partition.
    TransactionEnded {
        /// The producer.
        producer: ProducerId,
        /// Committed, or aborted.
        commit: bool,
    },
    /// The share coordinators have answered a [`StateCall`].
    StatesAnswered(CallId, StateResults),
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
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// OffsetCommit.
    Commit(Commit),
    /// OffsetFetch of one group.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// ListGroups: those of this coordinator.
    List(ListFilter),
    /// For the metrics: how many groups this coordinator has.
    Count,
    /// DescribeGroups, one group.
    Describe(String),
    /// ConsumerGroupDescribe, one group.
    DescribeConsumer(String),
    /// ShareGroupHeartbeat.
    ShareHeartbeat(ShareHeartbeat),
    /// ShareGroupDescribe, one group.
    DescribeShare(String),
    /// DescribeShareGroupOffsets, one group: the partitions that have a state.
    SharePartitions(String),
    /// AlterShareGroupOffsets.
    AlterShareOffsets(AlterShareOffsets),
    /// DeleteShareGroupOffsets.
    DeleteShareOffsets(DeleteShareOffsets),
    /// StreamsGroupHeartbeat.
    StreamsHeartbeat(Box<StreamsHeartbeat>),
    /// StreamsGroupDescribe, one group.
    DescribeStreams(String),
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
    /// To ConsumerHeartbeat.
    ConsumerHeartbeat(Result<Beat, Refusal>),
    /// To Commit: per partition, or an error that holds for every one.
    Commit(Result<PartitionResults, Error>),
    /// To FetchOffsets.
    FetchOffsets(Result<Vec<FetchedTopic>, Error>),
    /// To DeleteOffsets: per partition, or an error of the whole request.
    DeleteOffsets(Result<PartitionResults, Error>),
    /// To List.
    List(Vec<Listed>),
    /// To Count.
    Count(GroupCounts),
    /// To Describe.
    Describe(Result<Described, Refusal>),
    /// To DescribeConsumer.
    DescribeConsumer(Result<DescribedConsumerGroup, Refusal>),
    /// To ShareHeartbeat.
    ShareHeartbeat(Result<ShareBeat, Refusal>),
    /// To DescribeShare.
    DescribeShare(Result<DescribedShareGroup, Refusal>),
    /// To SharePartitions; none for a group that is not there.
    SharePartitions(Partitions),
    /// To AlterShareOffsets.
    AlterShareOffsets(Result<AlteredShareOffsets, Refusal>),
    /// To DeleteShareOffsets.
    DeleteShareOffsets(Result<DeletedShareOffsets, Refusal>),
    /// To StreamsHeartbeat.
    StreamsHeartbeat(Result<StreamsBeat, Refusal>),
    /// To DescribeStreams.
    DescribeStreams(Result<DescribedStreamsGroup, Refusal>),
    /// To Delete.
    Delete(Result<(), Error>),
}

impl Response {
    /// An answer of the same kind that says that what it told did not become durable, or may not have.
    pub(super) fn refused(self, error: Error) -> Self {
        match self {
            Self::Join(joined) => Self::Join(Joined { result: Err(error), ..joined }),
            Self::Sync(_) => Self::Sync(Err(error)),
            Self::Heartbeat(_) => Self::Heartbeat(Err(error)),
            Self::Leave(_) => Self::Leave(Err(error)),
            Self::ConsumerHeartbeat(_) => Self::ConsumerHeartbeat(Err(error.into())),
            Self::Commit(_) => Self::Commit(Err(error)),
            Self::FetchOffsets(_) => Self::FetchOffsets(Err(error)),
            Self::DeleteOffsets(_) => Self::DeleteOffsets(Err(error)),
            Self::Describe(_) => Self::Describe(Err(error.into())),
            Self::DescribeConsumer(_) => Self::DescribeConsumer(Err(error.into())),
            Self::ShareHeartbeat(_) => Self::ShareHeartbeat(Err(error.into())),
            Self::DescribeShare(_) => Self::DescribeShare(Err(error.into())),
            Self::AlterShareOffsets(_) => Self::AlterShareOffsets(Err(error.into())),
            Self::DeleteShareOffsets(_) => Self::DeleteShareOffsets(Err(error.into())),
            Self::StreamsHeartbeat(_) => Self::StreamsHeartbeat(Err(error.into())),
            Self::DescribeStreams(_) => Self::DescribeStreams(Err(error.into())),
            Self::Delete(_) => Self::Delete(Err(error)),
            // What is listed waits for nothing.
            listed @ (Self::List(_) | Self::Count(_) | Self::SharePartitions(_)) => listed,
        }
    }
}
