//! Requests and answers of the group coordinator, free of wire versions.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::error::Error;
use crate::coordinator::InTransaction;
use crate::{LeaderEpoch, Offset, TopicName};

/// JoinGroup (KIP-62, KIP-345, KIP-394, KIP-559, KIP-800, KIP-814).
#[derive(Clone, Debug)]
pub struct Join {
    /// The group.
    pub group: String,
    /// The id the member was given; empty for a member that has none.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The client's id, which starts the member id.
    pub client_id: String,
    /// Where the request came from, as Kafka writes it (`/127.0.0.1`).
    pub client_host: String,
    /// Heartbeats must come at least this often.
    pub session_timeout: Duration,
    /// How long the member takes to rejoin; before version 1 the session timeout.
    pub rebalance_timeout: Duration,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// The protocols the member can follow, the one it likes best first.
    pub protocols: Vec<Protocol>,
    /// Makes the id of a new member unique.
    pub fresh_id: Uuid,
    /// The client understands MEMBER_ID_REQUIRED (version 4 and later).
    pub requires_known_member_id: bool,
    /// The client understands `skip_assignment` (version 9 and later).
    pub supports_skipping_assignment: bool,
}

/// A protocol (of consumers: an assignor) with what the member says under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Name of the protocol, such as `range`.
    pub name: String,
    /// Opaque to the coordinator, but for the topics of a consumer's subscription.
    pub metadata: Bytes,
}

/// Answer to [`Join`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The member's id; with MEMBER_ID_REQUIRED the one to join with.
    pub member_id: String,
    /// The generation, or why there is none.
    pub result: Result<JoinedGeneration, Error>,
}

/// The generation a member has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedGeneration {
    /// Its number.
    pub generation: i32,
    /// Type of the group's protocols.
    pub protocol_type: Option<String>,
    /// The protocol chosen by the members' votes.
    pub protocol: Option<String>,
    /// Member id of the leader, who assigns.
    pub leader: String,
    /// The leader keeps the assignment it has (KIP-814).
    pub skip_assignment: bool,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: String,
    /// `group.instance.id`, if static.
    pub instance_id: Option<String>,
    /// What it said under the chosen protocol.
    pub metadata: Bytes,
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub struct Sync {
    /// The group.
    pub group: String,
    /// Generation of the join.
    pub generation: i32,
    /// The member's id.
    pub member_id: String,
    /// `group.instance.id`, if static.
    pub instance_id: Option<String>,
    /// Checked against the group's when given (version 5).
    pub protocol_type: Option<String>,
    /// Checked against the group's when given (version 5).
    pub protocol: Option<String>,
    /// From the leader: (member id, assignment).
    pub assignments: Vec<(String, Bytes)>,
}

/// Answer to [`Sync`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Type of the group's protocols.
    pub protocol_type: Option<String>,
    /// The group's protocol.
    pub protocol: Option<String>,
    /// What the leader assigned to this member.
    pub assignment: Bytes,
}

/// Heartbeat.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The group.
    pub group: String,
    /// Generation the member believes in.
    pub generation: i32,
    /// The member's id.
    pub member_id: String,
    /// `group.instance.id`, if static.
    pub instance_id: Option<String>,
}

/// LeaveGroup, of several members since version 3.
#[derive(Clone, Debug)]
pub struct Leave {
    /// The group.
    pub group: String,
    /// Who leaves.
    pub members: Vec<MemberIdentity>,
}

/// A member to be removed: by its id, or with an empty id by its instance id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// The member's id, or empty.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
}

/// Whether one member left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    /// As asked.
    pub member: MemberIdentity,
    /// Whether it was removed.
    pub result: Result<(), Error>,
}

/// OffsetCommit. The caller has checked that the topics exist.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The group.
    pub group: String,
    /// The member's generation or epoch; negative for a simple consumer.
    pub generation: i32,
    /// The member's id; empty for a simple consumer.
    pub member_id: String,
    /// `group.instance.id`, if static.
    pub instance_id: Option<String>,
    /// How long to keep the offsets (versions 2 to 4); none: as configured.
    pub retention: Option<Duration>,
    /// The transaction that the offsets are part of (TxnOffsetCommit): they count once it is committed.
    pub transaction: Option<InTransaction>,
    /// The client knows of the consumer protocol (version 9 and later): it understands GROUP_ID_NOT_FOUND and
    /// STALE_MEMBER_EPOCH.
    pub knows_consumer_protocol: bool,
    /// The offsets, topic by topic.
    pub topics: Vec<(TopicName, Vec<PartitionCommit>)>,
}

/// The offset of one partition to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionCommit {
    /// Index of the partition.
    pub partition: i32,
    /// The next offset to be consumed.
    pub offset: Offset,
    /// Epoch of the last consumed record.
    pub leader_epoch: LeaderEpoch,
    /// The client's own note.
    pub metadata: String,
}

/// One answer per partition, topic by topic, in the order asked.
pub type PartitionResults = Vec<(TopicName, Vec<(i32, Result<(), Error>)>)>;

/// OffsetFetch of one group.
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// The partitions asked for; none: all that have an offset.
    pub topics: Option<Vec<(TopicName, Vec<i32>)>>,
    /// The member that asks, with its epoch, if it says so (KIP-848).
    pub member: Option<(String, i32)>,
    /// Wait for commits that are not yet durable (KIP-447).
    pub require_stable: bool,
}

/// The committed offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// The topic.
    pub topic: TopicName,
    /// Each partition with its offset; none: nothing is committed.
    pub partitions: Vec<(i32, Result<Option<Committed>, Error>)>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to be consumed.
    pub offset: Offset,
    /// Epoch of the last consumed record.
    pub leader_epoch: LeaderEpoch,
    /// The client's own note.
    pub metadata: String,
}

/// OffsetDelete (KIP-496). The caller has checked that the topics exist.
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    /// The group.
    pub group: String,
    /// The partitions.
    pub topics: Vec<(TopicName, Vec<i32>)>,
}

/// ListGroups: empty filters let everything through. Names are compared without regard to case.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// States to list (KIP-518).
    pub states: Vec<String>,
    /// Types to list (KIP-848).
    pub types: Vec<String>,
}

/// A group in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub group: String,
    /// Its protocol type; empty for a simple consumer's.
    pub protocol_type: String,
    /// The name of its state.
    pub state: &'static str,
    /// Whether its members assign, or the coordinator.
    pub kind: GroupKind,
}

/// The kinds of groups (KIP-848, KIP-932, KIP-1071).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupKind {
    /// Its members assign.
    Classic,
    /// The coordinator assigns.
    Consumer,
    /// The coordinator assigns, a partition to several members.
    Share,
    /// The coordinator assigns tasks of a topology.
    Streams,
}

impl GroupKind {
    /// The name Kafka gives the kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Share => "share",
            Self::Streams => "streams",
        }
    }
}

/// State of a classic group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members.
    Empty,
    /// Waiting for the members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member can have its assignment.
    Stable,
}

impl GroupState {
    /// The names of all.
    pub(super) const NAMES: [&'static str; 4] =
        [Self::Empty.name(), Self::PreparingRebalance.name(), Self::CompletingRebalance.name(), Self::Stable.name()];

    /// The name Kafka gives the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Answer to a DescribeGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its state.
    pub state: GroupState,
    /// Its protocol type; empty for a simple consumer's.
    pub protocol_type: String,
    /// The chosen protocol while stable, else empty.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: String,
    /// `group.instance.id`, if static.
    pub instance_id: Option<String>,
    /// Id of its client.
    pub client_id: String,
    /// Where it joined from.
    pub client_host: String,
    /// What it said under the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it was assigned.
    pub assignment: Bytes,
}
