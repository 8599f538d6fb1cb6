//! State, topology and members of streams groups (KIP-1071).

use super::streams_group_heartbeat::{Endpoint, KeyValue, TaskIds, TaskOffset, TopicInfo};
use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks for groups by name.
    request StreamsGroupDescribeRequest = StreamsGroupDescribe [0, flexible 0+] -> StreamsGroupDescribeResponse {
        [0+] group_ids: Vec<Str>,
        [0+] include_authorized_operations: bool,
    }

    /// The groups.
    response StreamsGroupDescribeResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] groups: Vec<DescribedGroup>,
    }

    /// An element of `groups` of [`StreamsGroupDescribeResponse`].
    struct DescribedGroup {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        [0+] group_id: Str,
        [0+] group_state: Str,
        /// Grows with every change of the members, of the topology, or of the topics that it reads.
        [0+] group_epoch: i32,
        /// The group epoch that the target assignment is for.
        [0+] assignment_epoch: i32,
        /// Null with an error.
        [0+, null 0+] topology: Option<Topology>,
        [0+] members: Vec<Member>,
        /// Bits of the operations allowed; the least integer if not asked for.
        [0+] authorized_operations: i32 = i32::MIN,
    }

    /// The topology of [`DescribedGroup`].
    struct Topology {
        [0+] epoch: i32,
        /// With numbers of partitions and with the topics that regular expressions stand for; null while those are not
        /// known.
        [0+, null 0+] subtopologies: Option<Vec<Subtopology>>,
    }

    /// An element of `subtopologies` of [`Topology`].
    struct Subtopology {
        [0+] subtopology_id: Str,
        [0+] source_topics: Vec<Str>,
        /// Repartition topics that it writes.
        [0+] repartition_sink_topics: Vec<Str>,
        [0+] state_changelog_topics: Vec<TopicInfo>,
        /// Repartition topics that it reads.
        [0+] repartition_source_topics: Vec<TopicInfo>,
    }

    /// An element of `members` of [`DescribedGroup`].
    struct Member {
        [0+] member_id: Str,
        [0+] member_epoch: i32,
        /// The static member (KIP-345); null for a dynamic one.
        [0+, null 0+] instance_id: Option<Str>,
        [0+, null 0+] rack_id: Option<Str>,
        [0+] client_id: Str,
        [0+] client_host: Str,
        [0+] topology_epoch: i32,
        /// The instance of the application, which may be several members.
        [0+] process_id: Str,
        /// Where the instance answers interactive queries; null if it does not.
        [0+, null 0+] user_endpoint: Option<Endpoint>,
        [0+] client_tags: Vec<KeyValue>,
        [0+] task_offsets: Vec<TaskOffset>,
        [0+] task_end_offsets: Vec<TaskOffset>,
        /// What the member has.
        [0+] assignment: Assignment,
        /// What the member is to have.
        [0+] target_assignment: Assignment,
        /// Whether it is a member of the classic protocol still.
        [0+] is_classic: bool,
    }

    /// An assignment of [`Member`].
    struct Assignment {
        [0+] active_tasks: Vec<TaskIds>,
        [0+] standby_tasks: Vec<TaskIds>,
        [0+] warmup_tasks: Vec<TaskIds>,
    }
}
