//! The consumer-group coordinator of one `__consumer_offsets` partition, as a pure machine: events in,
//! effects out, the state rebuilt from its records.
//!
//! Groups are of four kinds: classic ones, whose members assign (this module), those of the consumer protocol
//! ([`consumer`]), share groups ([`share`]) and streams groups ([`streams`]). It must not know wire versions, threads or
//! the log; whether the topics of committed offsets exist is the caller's to check.

mod admin;
mod assigned;
mod config;
mod consumer;
mod context;
mod coordinator;
mod counts;
mod error;
mod event;
mod join;
mod leave;
mod lookup;
mod member;
mod offset_store;
mod offsets;
mod rebalance;
mod record;
mod replay;
mod request;
mod share;
mod state;
mod streams;
mod subscription;
mod sync;
mod timers;
mod transactions;

pub use config::{Config, DurationRange};
pub use consumer::{
    Assignor, Beat, ConsumerConfig, ConsumerGroupState, ConsumerHeartbeat, DescribedConsumer, DescribedConsumerGroup,
    JOIN, LEAVE, LEAVE_FOR_A_WHILE, MigrationPolicy, NamedPartitions, Partitions, Refusal,
};
pub use coordinator::Coordinator;
pub use counts::GroupCounts;
pub use error::Error;
pub use event::{Effect, Event, Note, Request, Response};
pub use request::{
    Commit, Committed, DeleteOffsets, Described, DescribedMember, FetchOffsets, FetchedTopic, GroupKind, GroupState,
    Heartbeat, Join, Joined, JoinedGeneration, JoinedMember, Leave, LeftMember, ListFilter, Listed, MemberIdentity,
    PartitionCommit, PartitionResults, Protocol, Sync, Synced,
};
pub use share::{
    AlterShareOffsets, AlteredShareOffsets, AlteredShareTopic, AskStates, CallId, DeleteShareOffsets,
    DeletedShareOffsets, DescribedShareGroup, DescribedShareMember, ShareBeat, ShareConfig, ShareGroupState,
    ShareHeartbeat, StateCall, StateResults,
};
pub use streams::{
    CopartitionGroup, DescribedStreamsGroup, DescribedStreamsMember, Endpoint, EndpointPartitions, InternalTopic,
    StatusCode, StreamsBeat, StreamsConfig, StreamsGroupState, StreamsHeartbeat, StreamsStatus, StreamsTopology,
    Subtopology, Task, TaskSets, Tasks, TopicInfo,
};
