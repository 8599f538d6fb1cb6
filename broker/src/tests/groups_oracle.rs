//! The group requests recorded from a real Kafka 4.3.1, sent over the wire in their order: the same errors in the same
//! places. What is behind the answers is compared where the coordinator is tested, in ottla-core.

use std::collections::HashMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::messages::delete_groups::DeleteGroupsRequest;
use ottla_protocol::messages::describe_groups::DescribeGroupsRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use serde_json::Value;
use uuid::Uuid;

use super::raw::Raw;
use crate::testing::TestBroker;

const CASES: &str = include_str!("../../../tests/oracle/edge-errors.json");

/// Where Ottla answers otherwise, and why.
const DIFFERENCES: [(&str, &str); 2] = [
    ("FindCoordinator-01", "the offsets topic is there when the answer is: nobody has to ask twice"),
    ("FindCoordinator-05", "transactions are not served yet, which must be fatal for whoever wants them"),
];

/// An error with its place in the response.
type Errors = Vec<(String, String)>;

struct Replay {
    raw: Raw,
    known_topic: Uuid,
    /// Member ids of the record and those given here.
    members: HashMap<String, Str>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_group_apis_answer_as_a_real_broker_did() {
    let properties = [("group.initial.rebalance.delay.ms", "0"), ("offsets.topic.replication.factor", "1")];
    let broker = TestBroker::start_with(&properties).await;
    broker.create_topic("t1", 2, &[]).await;
    let known_topic = broker.controller.image().topic("t1").unwrap().id.0;
    let raw = Raw::connect(broker.address()).await;
    let mut replay = Replay { raw, known_topic, members: HashMap::new() };
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    let (mut checked, mut different) = (0, Vec::new());
    for case in cases.iter().filter(|case| is_served(case)) {
        let Some(found) = replay.ask(case).await else { continue };
        let expected: Errors =
            list(&case["errors"]).iter().map(|error| (text(&error["path"]), text(&error["name"]))).collect();
        checked += 1;
        if found != expected {
            let id = case["id"].as_str().unwrap();
            assert!(DIFFERENCES.iter().any(|(known, _)| *known == id), "{id}: {found:?} instead of {expected:?}");
            different.push(id);
        }
    }
    assert_eq!(different, DIFFERENCES.map(|(id, _)| id));
    assert!(checked > 130, "only {checked} cases were found");
}

/// Share groups are not served yet.
fn is_served(case: &Value) -> bool {
    case["outcome"] == "answered" && case["request"].is_object() && case["request"]["group"] != "sg1"
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn word(value: &Value) -> Str {
    text(value).into()
}

fn words(value: &Value) -> Vec<Str> {
    list(value).iter().map(word).collect()
}

fn number(value: &Value) -> i32 {
    value.as_i64().unwrap_or_default() as i32
}

fn numbers(value: &Value) -> Vec<i32> {
    list(value).iter().map(number).collect()
}

fn optional(value: &Value) -> Option<Str> {
    value.as_str().map(Str::from)
}

fn error(path: impl Into<String>, code: ErrorCode) -> (String, String) {
    (path.into(), code.name().unwrap().to_owned())
}

impl Replay {
    /// Sends the case's request; none if it is of another API.
    async fn ask(&mut self, case: &Value) -> Option<Errors> {
        let request = &case["request"];
        let version = number(&case["version"]) as i16;
        Some(match case["api"].as_str()? {
            "FindCoordinator" => self.find_coordinator(request, version).await,
            "JoinGroup" => self.join(case, version).await,
            "SyncGroup" => self.sync(request, version).await,
            "Heartbeat" => {
                let heartbeat = HeartbeatRequest {
                    group_id: word(&request["group"]),
                    generation_id: number(&request["generation"]),
                    member_id: self.member(&request["member_id"]),
                    group_instance_id: optional(&request["instance_id"]),
                };
                vec![error("top", self.raw.call(&heartbeat, version).await.error_code)]
            }
            "LeaveGroup" => self.leave(request, version).await,
            "OffsetCommit" => self.commit(case, version).await,
            "OffsetFetch" => self.fetch(case, version).await,
            "OffsetDelete" => self.delete_offsets(request, version).await,
            "ListGroups" => {
                let (states_filter, types_filter) = (words(&request["states_filter"]), words(&request["types_filter"]));
                let request = ListGroupsRequest { states_filter, types_filter };
                vec![error("top", self.raw.call(&request, version).await.error_code)]
            }
            "DescribeGroups" => {
                let request = DescribeGroupsRequest { groups: words(&request["groups"]), ..Default::default() };
                let groups = self.raw.call(&request, version).await.groups;
                groups.iter().enumerate().map(|(i, g)| error(format!("groups[{i}]"), g.error_code)).collect()
            }
            "ConsumerGroupHeartbeat" => vec![error("top", self.beat(case, version).await)],
            "ConsumerGroupDescribe" => {
                let request =
                    ConsumerGroupDescribeRequest { group_ids: words(&request["groups"]), ..Default::default() };
                let groups = self.raw.call(&request, version).await.groups;
                groups.iter().enumerate().map(|(i, g)| error(format!("groups[{i}]"), g.error_code)).collect()
            }
            "DeleteGroups" => {
                let request = DeleteGroupsRequest { groups_names: words(&request["groups"]) };
                let results = self.raw.call(&request, version).await.results;
                results.iter().enumerate().map(|(i, g)| error(format!("groups[{i}]"), g.error_code)).collect()
            }
            _ => return None,
        })
    }

    fn member(&self, recorded: &Value) -> Str {
        let recorded = text(recorded);
        self.members.get(&recorded).cloned().unwrap_or_else(|| recorded.into())
    }

    fn topic_id(&self, case: &Value, topic: &Value) -> Uuid {
        match topic["topic_id"].as_str() {
            Some("<uuid>") if case["what"].as_str().is_some_and(|what| what.contains("unknown")) => Uuid::from_u128(9),
            Some("<uuid>") => self.known_topic,
            _ => Uuid::nil(),
        }
    }

    async fn find_coordinator(&mut self, request: &Value, version: i16) -> Errors {
        let request = FindCoordinatorRequest {
            key: word(&request["coordinator_key"]),
            key_type: number(&request["coordinator_type"]) as i8,
            coordinator_keys: words(&request["coordinator_keys"]),
        };
        let response = self.raw.call(&request, version).await;
        let mut errors = vec![error("top", response.error_code)];
        for (i, coordinator) in response.coordinators.iter().enumerate() {
            errors.push(error(format!("coordinators[{i}]"), coordinator.error_code));
        }
        errors
    }

    async fn beat(&mut self, case: &Value, version: i16) -> ErrorCode {
        let request = &case["request"];
        // The record writes empty and null alike: all that join say that they own nothing, but for the case about it.
        let joins = request["member_epoch"] == 0 && !case["what"].as_str().unwrap().contains("null owned partitions");
        let topics = request["subscribed_topic_names"].as_array();
        let heartbeat = ConsumerGroupHeartbeatRequest {
            group_id: word(&request["group"]),
            member_id: word(&request["member_id"]),
            member_epoch: number(&request["member_epoch"]),
            instance_id: optional(&request["instance_id"]),
            rack_id: optional(&request["rack_id"]),
            rebalance_timeout_ms: number(&request["rebalance_timeout_millis"]),
            subscribed_topic_names: topics.map(|names| names.iter().map(word).collect()),
            subscribed_topic_regex: optional(&request["subscribed_topic_regex"]),
            server_assignor: optional(&request["server_assignor"]),
            topic_partitions: joins.then(Vec::new),
        };
        self.raw.call(&heartbeat, version).await.error_code
    }

    async fn join(&mut self, case: &Value, version: i16) -> Errors {
        let request = &case["request"];
        let protocol = |protocol: &Value| JoinGroupRequestProtocol {
            name: word(&protocol["name"]),
            metadata: bytes::Bytes::from_static(&[0; 10]),
        };
        let join = JoinGroupRequest {
            group_id: word(&request["group"]),
            session_timeout_ms: number(&request["session_timeout_millis"]),
            rebalance_timeout_ms: number(&request["rebalance_timeout_millis"]),
            member_id: self.member(&request["member_id"]),
            group_instance_id: optional(&request["instance_id"]),
            protocol_type: word(&request["protocol_type"]),
            protocols: list(&request["protocols"]).iter().map(protocol).collect(),
            reason: None,
        };
        let response = self.raw.call(&join, version).await;
        self.members.insert(text(&case["response"]["member_id"]), response.member_id);
        vec![error("top", response.error_code)]
    }

    async fn sync(&mut self, request: &Value, version: i16) -> Errors {
        let assignment = |assignment: &Value| SyncGroupRequestAssignment {
            member_id: self.member(&assignment["member_id"]),
            assignment: bytes::Bytes::from_static(&[0; 10]),
        };
        let sync = SyncGroupRequest {
            group_id: word(&request["group"]),
            generation_id: number(&request["generation"]),
            member_id: self.member(&request["member_id"]),
            group_instance_id: optional(&request["instance_id"]),
            protocol_type: optional(&request["protocol_type"]),
            protocol_name: optional(&request["protocol"]),
            assignments: list(&request["group_assignment"]).iter().map(assignment).collect(),
        };
        vec![error("top", self.raw.call(&sync, version).await.error_code)]
    }

    async fn leave(&mut self, request: &Value, version: i16) -> Errors {
        let is_old = version < 3;
        let member = |member: &Value| MemberIdentity {
            member_id: self.member(&member["member_id"]),
            group_instance_id: optional(&member["instance_id"]),
            reason: None,
        };
        let members = list(&request["members"]).iter().map(member).collect();
        let leave = LeaveGroupRequest {
            group_id: word(&request["group"]),
            member_id: if is_old { self.member(&request["member_id"]) } else { Str::default() },
            members: if is_old { Vec::new() } else { members },
        };
        let response = self.raw.call(&leave, version).await;
        let mut errors = vec![error("top", response.error_code)];
        for (i, member) in response.members.iter().enumerate() {
            errors.push(error(format!("members[{i}]"), member.error_code));
        }
        errors
    }

    async fn commit(&mut self, case: &Value, version: i16) -> Errors {
        let request = &case["request"];
        let partition = |partition: &Value| OffsetCommitRequestPartition {
            partition_index: number(&partition["partition"]),
            committed_offset: partition["offset"].as_i64().unwrap_or_default(),
            committed_leader_epoch: -1,
            committed_metadata: optional(&partition["metadata"]),
        };
        let topic = |topic: &Value| OffsetCommitRequestTopic {
            name: word(&topic["topic"]),
            topic_id: self.topic_id(case, topic),
            partitions: list(&topic["partitions"]).iter().map(partition).collect(),
        };
        let commit = OffsetCommitRequest {
            group_id: word(&request["group"]),
            generation_id_or_member_epoch: number(&request["generation"]),
            member_id: self.member(&request["member_id"]),
            group_instance_id: optional(&request["instance_id"]),
            retention_time_ms: request["retention_time_millis"].as_i64().unwrap_or(-1),
            topics: list(&request["topics"]).iter().map(topic).collect(),
        };
        let mut errors = Errors::new();
        for (t, topic) in self.raw.call(&commit, version).await.topics.iter().enumerate() {
            for (p, partition) in topic.partitions.iter().enumerate() {
                errors.push(error(format!("topics[{t}].partitions[{p}]"), partition.error_code));
            }
        }
        errors
    }

    async fn fetch(&mut self, case: &Value, version: i16) -> Errors {
        let request = &case["request"];
        let old_topic = |topic: &Value| OffsetFetchRequestTopic {
            name: word(&topic["topic"]),
            partition_indexes: numbers(&topic["partitions"]),
        };
        let topic = |topic: &Value| OffsetFetchRequestTopics {
            name: word(&topic["topic"]),
            topic_id: self.topic_id(case, topic),
            partition_indexes: numbers(&topic["partitions"]),
        };
        let group = |group: &Value| OffsetFetchRequestGroup {
            group_id: word(&group["group"]),
            member_id: optional(&group["member_id"]),
            member_epoch: number(&group["member_epoch"]),
            topics: group["topics"].as_array().map(|topics| topics.iter().map(topic).collect()),
        };
        let require_stable = request["require_stable"] == true;
        let fetch = if version < 8 {
            let topics = request["topics"].as_array().map(|topics| topics.iter().map(old_topic).collect());
            OffsetFetchRequest { group_id: word(&request["group"]), topics, require_stable, ..Default::default() }
        } else {
            let groups = list(&request["groups"]).iter().map(group).collect();
            OffsetFetchRequest { groups, require_stable, ..Default::default() }
        };
        let response = self.raw.call(&fetch, version).await;
        let mut errors = vec![error("top", response.error_code)];
        for (t, topic) in response.topics.iter().enumerate() {
            for (p, partition) in topic.partitions.iter().enumerate() {
                errors.push(error(format!("topics[{t}].partitions[{p}]"), partition.error_code));
            }
        }
        for (g, group) in response.groups.iter().enumerate() {
            errors.push(error(format!("groups[{g}]"), group.error_code));
            for (t, topic) in group.topics.iter().enumerate() {
                for (p, partition) in topic.partitions.iter().enumerate() {
                    errors.push(error(format!("groups[{g}].topics[{t}].partitions[{p}]"), partition.error_code));
                }
            }
        }
        errors
    }

    async fn delete_offsets(&mut self, request: &Value, version: i16) -> Errors {
        let partition =
            |partition: &Value| OffsetDeleteRequestPartition { partition_index: number(&partition["partition"]) };
        let topic = |topic: &Value| OffsetDeleteRequestTopic {
            name: word(&topic["topic"]),
            partitions: list(&topic["partitions"]).iter().map(partition).collect(),
        };
        let topics = list(&request["topics"]).iter().map(topic).collect();
        let response = self.raw.call(&OffsetDeleteRequest { group_id: word(&request["group"]), topics }, version).await;
        let mut errors = vec![error("top", response.error_code)];
        for (t, topic) in response.topics.iter().enumerate() {
            for (p, partition) in topic.partitions.iter().enumerate() {
                errors.push(error(format!("topics[{t}].partitions[{p}]"), partition.error_code));
            }
        }
        errors
    }
}
