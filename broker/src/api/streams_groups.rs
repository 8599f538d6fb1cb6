//! What the APIs of streams groups share: tasks, topics and endpoints between the wire and the coordinator.

use ottla_core::group::{Endpoint, Task, Tasks, TopicInfo};
use ottla_protocol::messages::streams_group_heartbeat as wire;

/// Tasks as they stand in messages.
pub(super) fn task_ids(tasks: &Tasks) -> Vec<wire::TaskIds> {
    let ids = tasks.subtopologies().map(|(subtopology, partitions)| wire::TaskIds {
        subtopology_id: (&**subtopology).into(),
        partitions: partitions.iter().copied().collect(),
    });
    ids.collect()
}

/// Tasks that a message names.
pub(super) fn tasks(ids: &[wire::TaskIds]) -> Tasks {
    let of = |ids: &wire::TaskIds| -> Vec<Task> {
        ids.partitions.iter().map(|partition| ((&*ids.subtopology_id).into(), *partition)).collect()
    };
    ids.iter().flat_map(of).collect()
}

/// An internal topic as it stands in messages.
pub(super) fn topic_info(topic: TopicInfo) -> wire::TopicInfo {
    wire::TopicInfo {
        name: topic.name.into(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        topic_configs: pairs(topic.configs),
    }
}

/// Names and what they stand for, as they stand in messages.
pub(super) fn pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<wire::KeyValue> {
    pairs.into_iter().map(|(key, value)| wire::KeyValue { key: key.into(), value: value.into() }).collect()
}

/// An endpoint as it stands in messages.
pub(super) fn endpoint(endpoint: Endpoint) -> wire::Endpoint {
    wire::Endpoint { host: endpoint.host.into(), port: endpoint.port }
}
