//! Membership in a streams group (KIP-1071).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Joins, keeps alive, reconciles or leaves. A field that has not changed since the last heartbeat is null.
    request StreamsGroupHeartbeatRequest = StreamsGroupHeartbeat [0, flexible 0+] -> StreamsGroupHeartbeatResponse {
        [0+] group_id: Str,
        /// Made by the client.
        [0+] member_id: Str,
        /// 0 to join, -1 to leave, -2 for a static member that leaves for a while; else the epoch of the last answer.
        [0+] member_epoch: i32,
        /// The newest of [`StreamsGroupHeartbeatResponse::endpoint_information_epoch`] that the client knows.
        [0+] endpoint_information_epoch: i32,
        [0+, null 0+] instance_id: Option<Str>,
        [0+, null 0+] rack_id: Option<Str>,
        /// How long the member takes to give up tasks, in milliseconds; -1 for no change.
        [0+] rebalance_timeout_ms: i32 = -1,
        /// What the application is made of; only with a join.
        [0+, null 0+] topology: Option<Topology>,
        /// Active tasks that the member has.
        [0+, null 0+] active_tasks: Option<Vec<TaskIds>>,
        /// Standby tasks that the member has.
        [0+, null 0+] standby_tasks: Option<Vec<TaskIds>>,
        /// Warm-up tasks that the member has.
        [0+, null 0+] warmup_tasks: Option<Vec<TaskIds>>,
        /// The instance of the application, which may be several members.
        [0+, null 0+] process_id: Option<Str>,
        /// Where the instance answers interactive queries.
        [0+, null 0+] user_endpoint: Option<Endpoint>,
        [0+, null 0+] client_tags: Option<Vec<KeyValue>>,
        /// How far the changelogs of tasks have been read, summed up by task.
        [0+, null 0+] task_offsets: Option<Vec<TaskOffset>>,
        /// How far they go.
        [0+, null 0+] task_end_offsets: Option<Vec<TaskOffset>>,
        /// Asks every member of the group to end.
        [0+] shutdown_application: bool,
    }

    /// The topology of [`StreamsGroupHeartbeatRequest`].
    struct Topology {
        [0+] epoch: i32,
        [0+] subtopologies: Vec<Subtopology>,
    }

    /// An element of `subtopologies` of [`Topology`].
    struct Subtopology {
        [0+] subtopology_id: Str,
        /// Topics that it reads and that are there already.
        [0+] source_topics: Vec<Str>,
        /// The same, by regular expressions.
        [0+] source_topic_regex: Vec<Str>,
        [0+] state_changelog_topics: Vec<TopicInfo>,
        /// Repartition topics that it writes.
        [0+] repartition_sink_topics: Vec<Str>,
        /// Repartition topics that it reads.
        [0+] repartition_source_topics: Vec<TopicInfo>,
        [0+] copartition_groups: Vec<CopartitionGroup>,
    }

    /// Topics of a [`Subtopology`] that have as many partitions as each other, by their places in its lists.
    struct CopartitionGroup {
        [0+] source_topics: Vec<i16>,
        [0+] source_topic_regex: Vec<i16>,
        [0+] repartition_source_topics: Vec<i16>,
    }

    /// An internal topic.
    struct TopicInfo {
        [0+] name: Str,
        /// 0 where the coordinator is to find out; always so for changelogs.
        [0+] partitions: i32,
        /// 0 for the broker's default.
        [0+] replication_factor: i16,
        [0+] topic_configs: Vec<KeyValue>,
    }

    /// A name and what it stands for.
    struct KeyValue {
        [0+] key: Str,
        [0+] value: Str,
    }

    /// Where an instance answers interactive queries.
    struct Endpoint {
        [0+] host: Str,
        [0+] port: u16,
    }

    /// An offset of a task.
    struct TaskOffset {
        [0+] subtopology_id: Str,
        [0+] partition: i32,
        [0+] offset: i64,
    }

    /// Tasks of one subtopology.
    struct TaskIds {
        [0+] subtopology_id: Str,
        [0+] partitions: Vec<i32>,
    }

    /// Where the member stands.
    response StreamsGroupHeartbeatResponse [0, flexible 0+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+] throttle_time_ms: i32,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str>,
        [0+] member_id: Str,
        [0+] member_epoch: i32,
        /// When the next heartbeat is due, in milliseconds.
        [0+] heartbeat_interval_ms: i32,
        /// How far behind its changelogs a warm-up task may be to count as warm, in records.
        [0+] acceptable_recovery_lag: i32,
        /// How often the member should tell how far its changelogs are read, in milliseconds.
        [0+] task_offset_interval_ms: i32,
        /// What the application should know of the group.
        [0+, null 0+] status: Option<Vec<Status>> = Some(Vec::new()),
        /// Active tasks that the member is to have from now on; null for no change.
        [0+, null 0+] active_tasks: Option<Vec<TaskIds>>,
        /// Standby tasks that the member is to have from now on; null for no change.
        [0+, null 0+] standby_tasks: Option<Vec<TaskIds>>,
        /// Warm-up tasks that the member is to have from now on; null for no change.
        [0+, null 0+] warmup_tasks: Option<Vec<TaskIds>>,
        /// Grows when `partitions_by_user_endpoint` changes.
        [0+] endpoint_information_epoch: i32,
        /// Who answers interactive queries about which partitions; null if the client knows.
        [0+, null 0+] partitions_by_user_endpoint: Option<Vec<EndpointToPartitions>>,
    }

    /// An element of `status` of [`StreamsGroupHeartbeatResponse`].
    struct Status {
        /// 0 for a topology that is not the newest, 1 for source topics that are not there, 2 for wrong numbers of
        /// partitions, 3 for internal topics that are not there, 4 for an application that is to end, 5 for an assignment
        /// that is delayed.
        [0+] status_code: i8,
        [0+] status_detail: Str,
    }

    /// An element of `partitions_by_user_endpoint` of [`StreamsGroupHeartbeatResponse`].
    struct EndpointToPartitions {
        [0+] user_endpoint: Endpoint,
        /// What its active tasks read.
        [0+] active_partitions: Vec<TopicPartition>,
        /// What its standby tasks would read.
        [0+] standby_partitions: Vec<TopicPartition>,
    }

    /// Partitions of one topic.
    struct TopicPartition {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }
}
