//! Streams groups (KIP-1071): the members are threads of applications of Kafka Streams, and the coordinator gives them
//! tasks. It knows the application's topology, tells which internal topics are missing, and moves a task only when who
//! had it has given it up.
//!
//! As in a group of the consumer protocol ([`consumer`](super::consumer)) a change is applied at once, and whoever is
//! told of it waits for its record. What Kafka 4.3 does not support (static members, patterns, warm-up tasks, changes of
//! a topology) is refused here as there.
//!
//! It must not know wire versions, nor create topics; topics come from the metadata image.

mod config;
mod request;
mod tasks;
mod topology;

pub use config::StreamsConfig;
pub use request::{
    DescribedStreamsGroup, DescribedStreamsMember, Endpoint, EndpointPartitions, InternalTopic, StatusCode,
    StreamsBeat, StreamsGroupState, StreamsHeartbeat, StreamsStatus,
};
pub use tasks::{Role, Task, TaskSets, Tasks};
pub use topology::{CopartitionGroup, StreamsTopology, Subtopology, TopicInfo};
