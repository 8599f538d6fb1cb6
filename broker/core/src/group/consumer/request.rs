//! Requests and answers of the consumer protocol (KIP-848), free of wire versions.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::Partitions;
use crate::group::Error;
use crate::{TopicId, TopicName};

/// The epoch with which a member joins.
pub const JOIN: i32 = 0;
/// The epoch with which a member leaves.
pub const LEAVE: i32 = -1;
/// The epoch with which a static member leaves for a while.
pub const LEAVE_FOR_A_WHILE: i32 = -2;

/// ConsumerGroupHeartbeat. A field that is none has not changed.
#[derive(Clone, Debug)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: String,
    /// Made by the client; empty for one that wants to be given an id.
    pub member_id: String,
    /// [`JOIN`], [`LEAVE`], [`LEAVE_FOR_A_WHILE`], or the epoch of the last answer.
    pub member_epoch: i32,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// How long the member may take to give partitions up.
    pub rebalance_timeout: Option<Duration>,
    /// Topics by name.
    pub topics: Option<Vec<String>>,
    /// A pattern that whole names of topics have to match; empty for none.
    pub regex: Option<String>,
    /// The assignor that the member likes best.
    pub assignor: Option<String>,
    /// What the member owns.
    pub owned: Option<Partitions>,
    /// The client's id.
    pub client_id: String,
    /// Where the request came from, as Kafka writes it (`/127.0.0.1`).
    pub client_host: String,
    /// The id of a member that has none.
    pub fresh_id: Uuid,
    /// The client makes its own id (version 1 and later).
    pub makes_own_id: bool,
}

/// Answer to a [`ConsumerHeartbeat`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The member's id.
    pub member_id: String,
    /// Its epoch, or the one it left with.
    pub member_epoch: i32,
    /// When the next heartbeat is due; zero for one that left.
    pub heartbeat_interval: Duration,
    /// What the member may consume from now on; none for no change.
    pub assignment: Option<Partitions>,
}

/// Why a request was refused, with the words that Kafka's users know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error.
    pub error: Error,
    /// What a person should read.
    pub message: String,
}

impl Refusal {
    /// A refusal in these words.
    pub(crate) fn new(error: Error, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, message: error.to_string() }
    }
}

/// State of a group of the consumer protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsumerGroupState {
    /// No members.
    Empty,
    /// The target assignment is older than the group.
    Assigning,
    /// Some member does not have its target assignment yet.
    Reconciling,
    /// Every member has its target assignment.
    Stable,
}

impl ConsumerGroupState {
    /// The names of all.
    pub(in crate::group) const NAMES: [&'static str; 4] =
        [Self::Empty.name(), Self::Assigning.name(), Self::Reconciling.name(), Self::Stable.name()];

    /// The name Kafka gives the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// Answer to a ConsumerGroupDescribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    /// Its state.
    pub state: ConsumerGroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The group epoch that the target assignment is for.
    pub assignment_epoch: i32,
    /// The assignor that most members like best.
    pub assignor: &'static str,
    /// Its members.
    pub members: Vec<DescribedConsumer>,
}

/// Partitions of topics that exist, by id and name.
pub type NamedPartitions = Vec<(TopicId, TopicName, BTreeSet<i32>)>;

/// A member as ConsumerGroupDescribe shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumer {
    /// Its id.
    pub member_id: String,
    /// `group.instance.id`, if static.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// Its epoch.
    pub epoch: i32,
    /// Id of its client.
    pub client_id: String,
    /// Where it sends from.
    pub client_host: String,
    /// The topics that it subscribes to by name.
    pub topics: Vec<String>,
    /// The pattern that it subscribes to.
    pub regex: Option<String>,
    /// What it has.
    pub assignment: NamedPartitions,
    /// What it is to have.
    pub target: NamedPartitions,
    /// It uses the classic protocol.
    pub is_classic: bool,
}
