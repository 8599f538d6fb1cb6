//! Requests and answers about streams groups (KIP-1071), free of wire versions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::tasks::{TaskSets, Tasks};
use super::topology::{StreamsTopology, TopicInfo};

/// StreamsGroupHeartbeat. A field that is none has not changed.
#[derive(Clone, Debug, Default)]
pub struct StreamsHeartbeat {
    /// The group: the `application.id`.
    pub group: String,
    /// Made by the client.
    pub member_id: String,
    /// [`JOIN`](crate::group::JOIN), [`LEAVE`](crate::group::LEAVE), or the epoch of the last answer.
    pub member_epoch: i32,
    /// The newest information about endpoints that the member has seen.
    pub endpoint_epoch: i32,
    /// `group.instance.id` of a static member. Kafka does not support any yet.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// How long the member may take to give tasks up.
    pub rebalance_timeout: Option<Duration>,
    /// The topology of the application; with [`JOIN`](crate::group::JOIN) only.
    pub topology: Option<StreamsTopology>,
    /// The active tasks that the member owns.
    pub active: Option<Tasks>,
    /// The standby tasks that it owns.
    pub standby: Option<Tasks>,
    /// The warm-up tasks that it owns. Kafka does not support any yet.
    pub warmup: Option<Tasks>,
    /// The process that the member is a thread of.
    pub process_id: Option<String>,
    /// `application.server`: where the member is asked about its states.
    pub user_endpoint: Option<Endpoint>,
    /// `client.tag.*`.
    pub client_tags: Option<BTreeMap<String, String>>,
    /// It gives the offsets of tasks. Kafka does not support that yet.
    pub has_task_offsets: bool,
    /// It gives the end offsets of tasks. Kafka does not support that yet.
    pub has_task_end_offsets: bool,
    /// The whole application is to stop.
    pub shuts_down: bool,
    /// The client's id.
    pub client_id: String,
    /// Where the request came from, as Kafka writes it (`/127.0.0.1`).
    pub client_host: String,
}

/// Where a member is asked about its states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Answer to a [`StreamsHeartbeat`]. The acceptable recovery lag and the interval of task offsets are always 0, as of
/// Kafka 4.3, which has no warm-up tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamsBeat {
    /// The member's id.
    pub member_id: String,
    /// Its epoch, or the one it left with.
    pub member_epoch: i32,
    /// When the next heartbeat is due; zero for one that left.
    pub heartbeat_interval: Duration,
    /// What the member should know of the group.
    pub statuses: Vec<StreamsStatus>,
    /// The member's tasks from now on; none for no change.
    pub assignment: Option<TaskSets>,
    /// Tells this information about endpoints from others.
    pub endpoint_epoch: i32,
    /// Which partitions are at which endpoint; none for no change.
    pub endpoints: Option<Vec<EndpointPartitions>>,
    /// Topics that are missing: the caller has them created before it answers, and need not wait for that. They come
    /// again with every answer until they are there. Why they cannot be created is added to the detail of the status
    /// [`StatusCode::MissingInternalTopics`], which is among `statuses` then.
    pub internal_topics: Vec<InternalTopic>,
}

/// Something that a member should know of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsStatus {
    /// What it is.
    pub code: StatusCode,
    /// The same for a person.
    pub detail: String,
}

/// What members are told; numbered as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// The member's topology is older than the group's.
    StaleTopology = 0,
    /// Topics that the application reads are not there.
    MissingSourceTopics = 1,
    /// Topics that belong together have different numbers of partitions.
    IncorrectlyPartitionedTopics = 2,
    /// Repartition topics or changelogs are not there yet.
    MissingInternalTopics = 3,
    /// A member asked for the whole application to stop.
    ShutdownApplication = 4,
    /// The assignment is yet to be found.
    AssignmentDelayed = 5,
}

/// The partitions whose state is at an endpoint, by topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPartitions {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Of active tasks.
    pub active: Vec<(String, Vec<i32>)>,
    /// Of standby tasks.
    pub standby: Vec<(String, Vec<i32>)>,
}

/// A topic to be created for an application: partitions are at least 1, a replication factor of -1 means the default.
pub type InternalTopic = TopicInfo;

/// State of a streams group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamsGroupState {
    /// No members.
    Empty,
    /// Topics of its topology are missing, or have numbers of partitions that do not fit.
    NotReady,
    /// The target assignment is older than the group.
    Assigning,
    /// Some member does not have its target assignment yet.
    Reconciling,
    /// Every member has its target assignment.
    Stable,
}

impl StreamsGroupState {
    /// The names of all.
    pub(in crate::group) const NAMES: [&'static str; 5] = [
        Self::Empty.name(),
        Self::NotReady.name(),
        Self::Assigning.name(),
        Self::Reconciling.name(),
        Self::Stable.name(),
    ];

    /// The name Kafka gives the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::NotReady => "NotReady",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// Answer to a StreamsGroupDescribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedStreamsGroup {
    /// Its state.
    pub state: StreamsGroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The group epoch that the target assignment is for.
    pub assignment_epoch: i32,
    /// Its topology, with numbers of partitions where these are known.
    pub topology: StreamsTopology,
    /// Its members.
    pub members: Vec<DescribedStreamsMember>,
}

/// A member as StreamsGroupDescribe shows it. There are no offsets of tasks, and no members of the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedStreamsMember {
    /// Its id.
    pub member_id: String,
    /// Its epoch.
    pub epoch: i32,
    /// `group.instance.id`, if static.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// Id of its client.
    pub client_id: String,
    /// Where it sends from.
    pub client_host: String,
    /// The epoch of its topology.
    pub topology_epoch: i32,
    /// The process that it is a thread of.
    pub process_id: String,
    /// Where it is asked about its states.
    pub user_endpoint: Option<Endpoint>,
    /// `client.tag.*`.
    pub client_tags: BTreeMap<String, String>,
    /// What it has.
    pub assignment: TaskSets,
    /// What it is to have.
    pub target: TaskSets,
}
