//! What members of groups ask for, with what tests seldom change filled in, and what they are told.

use std::time::Duration;

use bytes::Bytes;
use ottla_core::group::{
    Commit, ConsumerHeartbeat, FetchOffsets, Heartbeat, Join, Leave, MemberIdentity, PartitionCommit, Partitions,
    Protocol, Request, Response, ShareHeartbeat, StreamsHeartbeat, StreamsTopology, Subtopology, Sync, TaskSets, Tasks,
    TopicInfo,
};
use ottla_core::{LeaderEpoch, Offset};
use uuid::Uuid;

use super::bench::{topic, topic_id};

/// The subscription of a consumer to `topics`, as version 0 of its protocol.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut out = vec![0, 0];
    out.extend((topics.len() as u32).to_be_bytes());
    for topic in topics {
        out.extend((topic.len() as u16).to_be_bytes());
        out.extend(topic.as_bytes());
    }
    out.extend([0xff; 4]);
    out.into()
}

pub fn join(group: &str, member_id: &str, fresh_id: u128) -> Join {
    Join {
        group: group.into(),
        member_id: member_id.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata: subscription(&["t1"]) }],
        fresh_id: Uuid::from_u128(fresh_id),
        requires_known_member_id: false,
        supports_skipping_assignment: true,
    }
}

pub fn static_join(group: &str, instance: &str, fresh_id: u128) -> Join {
    Join { instance_id: Some(instance.into()), ..join(group, "", fresh_id) }
}

pub fn sync(group: &str, member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> Request {
    Request::Sync(Sync {
        group: group.into(),
        generation,
        member_id: member_id.into(),
        instance_id: None,
        protocol_type: None,
        protocol: None,
        assignments: assignments
            .iter()
            .map(|(member, assignment)| ((*member).to_owned(), Bytes::copy_from_slice(assignment.as_bytes())))
            .collect(),
    })
}

pub fn heartbeat(group: &str, member_id: &str, generation: i32) -> Request {
    Request::Heartbeat(Heartbeat { group: group.into(), generation, member_id: member_id.into(), instance_id: None })
}

pub fn leave(group: &str, member_id: &str) -> Request {
    let members = vec![MemberIdentity { member_id: member_id.into(), instance_id: None }];
    Request::Leave(Leave { group: group.into(), members })
}

/// A heartbeat of the consumer protocol that says nothing new.
pub fn beat(group: &str, member_id: &str, member_epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: group.into(),
        member_id: member_id.into(),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout: None,
        topics: None,
        regex: None,
        assignor: None,
        owned: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        fresh_id: Uuid::from_u128(0),
        makes_own_id: true,
    }
}

/// The first heartbeat of a member that subscribes to `topics`.
pub fn first_beat(group: &str, member_id: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout: Some(Duration::from_secs(60)),
        topics: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        owned: Some(Partitions::default()),
        ..beat(group, member_id, 0)
    }
}

/// A heartbeat of a member of a share group that says nothing new.
pub fn share_beat(group: &str, member_id: &str, member_epoch: i32) -> ShareHeartbeat {
    ShareHeartbeat {
        group: group.into(),
        member_id: member_id.into(),
        member_epoch,
        rack_id: None,
        topics: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
    }
}

/// The first heartbeat of a member of a share group that subscribes to `topics`.
pub fn first_share_beat(group: &str, member_id: &str, topics: &[&str]) -> ShareHeartbeat {
    let topics = Some(topics.iter().map(|topic| (*topic).to_owned()).collect());
    ShareHeartbeat { topics, ..share_beat(group, member_id, 0) }
}

/// Partitions of one topic.
pub fn partitions(topic: &str, indexes: &[i32]) -> Partitions {
    indexes.iter().map(|index| (topic_id(topic), *index)).collect()
}

pub fn commit(group: &str, member_id: &str, generation: i32, on: &str, partition: i32, offset: i64) -> Request {
    Request::Commit(Commit {
        group: group.into(),
        generation,
        member_id: member_id.into(),
        instance_id: None,
        retention: None,
        transaction: None,
        knows_consumer_protocol: false,
        topics: vec![(
            topic(on),
            vec![PartitionCommit {
                partition,
                offset: Offset(offset),
                leader_epoch: LeaderEpoch::NONE,
                metadata: String::new(),
            }],
        )],
    })
}

pub fn fetch_all(group: &str, require_stable: bool) -> Request {
    Request::FetchOffsets(FetchOffsets { group: group.into(), topics: None, member: None, require_stable })
}

/// All offsets in the answer, as (topic, partition, offset).
pub fn offsets(response: Response) -> Vec<(String, i32, i64)> {
    let Response::FetchOffsets(Ok(topics)) = response else { panic!("no offsets but {response:?}") };
    let mut offsets = Vec::new();
    for fetched in topics {
        for (partition, committed) in fetched.partitions {
            let committed = committed.expect("the offset is stable");
            offsets.extend(committed.map(|c| (fetched.topic.to_string(), partition, c.offset.0)));
        }
    }
    offsets
}

/// A word count: subtopology 0 reads `t` and writes the repartition topic, subtopology 1 reads that and has a state.
pub fn word_count() -> StreamsTopology {
    let internal = |name: &str| TopicInfo { name: name.into(), ..TopicInfo::default() };
    let splits = Subtopology {
        id: "0".into(),
        source_topics: vec!["t".into()],
        repartition_sink_topics: vec!["r".into()],
        ..Subtopology::default()
    };
    let counts = Subtopology {
        id: "1".into(),
        repartition_source_topics: vec![internal("r")],
        changelog_topics: vec![TopicInfo {
            configs: vec![("cleanup.policy".into(), "compact".into())],
            ..internal("c")
        }],
        ..Subtopology::default()
    };
    StreamsTopology { epoch: 0, subtopologies: vec![splits, counts] }
}

/// The first heartbeat of a member of a streams group, which is a process of its own.
pub fn first_streams_beat(group: &str, member_id: &str) -> StreamsHeartbeat {
    let none = || Some(Tasks::default());
    StreamsHeartbeat {
        group: group.into(),
        member_id: member_id.into(),
        rebalance_timeout: Some(Duration::from_secs(60)),
        topology: Some(word_count()),
        active: none(),
        standby: none(),
        warmup: none(),
        process_id: Some(format!("process-{member_id}")),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        ..StreamsHeartbeat::default()
    }
}

/// A heartbeat of a streams group that says nothing new.
pub fn streams_beat(group: &str, member_id: &str, member_epoch: i32) -> StreamsHeartbeat {
    StreamsHeartbeat {
        group: group.into(),
        member_id: member_id.into(),
        member_epoch,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        ..StreamsHeartbeat::default()
    }
}

/// One that says what the member owns.
pub fn owning(beat: StreamsHeartbeat, owned: &TaskSets) -> StreamsHeartbeat {
    let TaskSets { active, standby, warmup } = owned.clone();
    StreamsHeartbeat { active: Some(active), standby: Some(standby), warmup: Some(warmup), ..beat }
}

/// Tasks of subtopologies.
pub fn tasks(all: &[(&str, &[i32])]) -> Tasks {
    all.iter().flat_map(|(id, indexes)| indexes.iter().map(|index| ((*id).into(), *index))).collect()
}

/// Active tasks of subtopologies.
pub fn active(all: &[(&str, &[i32])]) -> TaskSets {
    TaskSets { active: tasks(all), ..TaskSets::default() }
}
