//! Requests and answers about share groups (KIP-932), free of wire versions.

use std::time::Duration;

use crate::group::{Error, NamedPartitions, Partitions, Refusal};
use crate::{Offset, TopicId};

/// ShareGroupHeartbeat. A field that is none has not changed.
#[derive(Clone, Debug)]
pub struct ShareHeartbeat {
    /// The group.
    pub group: String,
    /// Made by the client.
    pub member_id: String,
    /// [`JOIN`](crate::group::JOIN), [`LEAVE`](crate::group::LEAVE), or the epoch of the last answer.
    pub member_epoch: i32,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// Topics by name.
    pub topics: Option<Vec<String>>,
    /// The client's id.
    pub client_id: String,
    /// Where the request came from, as Kafka writes it (`/127.0.0.1`).
    pub client_host: String,
}

/// Answer to a [`ShareHeartbeat`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareBeat {
    /// The member's id.
    pub member_id: String,
    /// Its epoch, or the one it left with.
    pub member_epoch: i32,
    /// When the next heartbeat is due; zero for one that left.
    pub heartbeat_interval: Duration,
    /// What the member may consume from now on; none for no change.
    pub assignment: Option<Partitions>,
}

/// State of a share group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShareGroupState {
    /// No members.
    Empty,
    /// It has members.
    Stable,
}

impl ShareGroupState {
    /// The names of all.
    pub(in crate::group) const NAMES: [&'static str; 2] = [Self::Empty.name(), Self::Stable.name()];

    /// The name Kafka gives the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Stable => "Stable",
        }
    }
}

/// Answer to a ShareGroupDescribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedShareGroup {
    /// Its state.
    pub state: ShareGroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The group epoch that the assignment is for.
    pub assignment_epoch: i32,
    /// The assignor.
    pub assignor: &'static str,
    /// Its members.
    pub members: Vec<DescribedShareMember>,
}

/// A member as ShareGroupDescribe shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedShareMember {
    /// Its id.
    pub member_id: String,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// Its epoch.
    pub epoch: i32,
    /// Id of its client.
    pub client_id: String,
    /// Where it sends from.
    pub client_host: String,
    /// The topics that it subscribes to.
    pub topics: Vec<String>,
    /// What it has.
    pub assignment: NamedPartitions,
}

/// AlterShareGroupOffsets: where an empty group begins.
#[derive(Clone, Debug)]
pub struct AlterShareOffsets {
    /// The group; made if there is none.
    pub group: String,
    /// By topic, the partitions with their new start offsets.
    pub topics: Vec<(String, Vec<(i32, Offset)>)>,
}

/// The answers of a topic, one per partition; a topic that does not exist has no id.
pub type AlteredShareTopic = (String, Option<TopicId>, Vec<(i32, Result<(), Error>)>);

/// One answer per topic, in the order asked.
pub type AlteredShareOffsets = Vec<AlteredShareTopic>;

/// DeleteShareGroupOffsets: what an empty group has of topics.
#[derive(Clone, Debug)]
pub struct DeleteShareOffsets {
    /// The group.
    pub group: String,
    /// The topics, by name.
    pub topics: Vec<String>,
}

/// One answer per topic, in the order asked; a topic that does not exist has no id.
pub type DeletedShareOffsets = Vec<(String, Option<TopicId>, Result<(), Refusal>)>;
