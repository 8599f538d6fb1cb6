//! The group cases recorded from a real Kafka 4.3.1 broker, sent in their order to one coordinator: the same errors
//! in the same places, and the same state behind them. Left out is what the API layer decides before the coordinator
//! is asked, such as unknown topics and topic ids.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use ottla_core::group::{
    Commit, Config, DeleteOffsets, Error, FetchOffsets, Heartbeat, Join, Leave, ListFilter, MemberIdentity,
    PartitionCommit, PartitionResults, Protocol, Request, Response, Sync,
};
use ottla_core::{LeaderEpoch, Offset};
use serde_json::Value;
use uuid::Uuid;

use super::bench::{Bench, topic};

mod consumer;
mod share;

const CASES: &str = include_str!("../../../../tests/oracle/edge-errors.json");
const APIS: [&str; 13] = [
    "ShareGroupHeartbeat",
    "ConsumerGroupHeartbeat",
    "ConsumerGroupDescribe",
    "JoinGroup",
    "SyncGroup",
    "Heartbeat",
    "LeaveGroup",
    "OffsetCommit",
    "OffsetFetch",
    "OffsetDelete",
    "DescribeGroups",
    "ListGroups",
    "DeleteGroups",
];

#[test]
fn the_coordinator_answers_as_a_real_broker_did() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    let mut bench = Bench::new(Config { initial_rebalance_delay: Duration::ZERO, ..Config::default() });
    bench.tell(&[("t1", 2)]);
    let mut checked = 0;
    for case in cases.iter().filter(|case| concerns_the_coordinator(case)) {
        let expected: Vec<(String, String)> =
            case["errors"].as_array().unwrap().iter().map(|e| (text(&e["path"]), text(&e["name"]))).collect();
        let found = ask(&mut bench, case);
        assert_eq!(found, expected, "{} {}", case["id"], case["what"]);
        checked += 1;
    }
    assert_eq!(checked, 120, "every recorded case that concerns the coordinator");
}

fn concerns_the_coordinator(case: &Value) -> bool {
    let is_of_the_api_layer = case["errors"].as_array().into_iter().flatten().any(|e| e["code"] == 3 || e["code"] == 100)
        || case["version"] == 10
        // Null protocol names are refused from version 5 on, whatever the group's are.
        || case["id"] == "SyncGroup-03"
        || case["id"] == "ConsumerGroupDescribe-02";
    APIS.iter().any(|api| case["api"] == *api) && !is_of_the_api_layer && case["outcome"] == "answered"
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn optional_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn number(value: &Value) -> i32 {
    value.as_i64().unwrap_or_default() as i32
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn hex(value: &Value) -> Bytes {
    let text = text(value);
    let digits = text.strip_prefix("hex:").unwrap_or_default();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn millis(value: &Value) -> Duration {
    Duration::from_millis(value.as_u64().unwrap_or_default())
}

/// `UnknownMemberId` → `UNKNOWN_MEMBER_ID`.
fn name<T>(result: &Result<T, Error>) -> String {
    let Err(error) = result else { return "NONE".into() };
    let mut name = String::new();
    for (i, c) in format!("{error:?}").chars().enumerate() {
        if i > 0 && c.is_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

fn top<T>(result: &Result<T, Error>) -> Vec<(String, String)> {
    vec![("top".into(), name(result))]
}

/// Sends the case's request, checks the answer's content, and returns its errors by place.
fn ask(bench: &mut Bench, case: &Value) -> Vec<(String, String)> {
    let request = &case["request"];
    let version = number(&case["version"]);
    match case["api"].as_str().unwrap() {
        "JoinGroup" => ask_join(bench, case, version),
        "SyncGroup" => ask_sync(bench, case),
        "Heartbeat" => {
            let heartbeat = Heartbeat {
                group: text(&request["group"]),
                generation: number(&request["generation"]),
                member_id: text(&request["member_id"]),
                instance_id: optional_text(&request["instance_id"]),
            };
            let Response::Heartbeat(result) = bench.call(Request::Heartbeat(heartbeat)) else { panic!() };
            top(&result)
        }
        "LeaveGroup" => ask_leave(bench, request, version),
        "OffsetCommit" => ask_commit(bench, request, version),
        "OffsetFetch" => ask_fetch(bench, case, version),
        "OffsetDelete" => ask_delete_offsets(bench, request),
        "DescribeGroups" => ask_describe(bench, case, version),
        "ShareGroupHeartbeat" => share::ask_heartbeat(bench, case),
        "ConsumerGroupHeartbeat" => consumer::ask_heartbeat(bench, case, version),
        "ConsumerGroupDescribe" => consumer::ask_describe(bench, case),
        "ListGroups" => ask_list(bench, case),
        "DeleteGroups" => {
            let groups: BTreeSet<String> = list(&request["groups"]).iter().map(text).collect();
            let answers = groups.into_iter().enumerate().map(|(i, group)| {
                let Response::Delete(result) = bench.call(Request::Delete(group)) else { panic!() };
                (format!("groups[{i}]"), name(&result))
            });
            answers.collect()
        }
        other => panic!("unexpected API {other}"),
    }
}

fn ask_join(bench: &mut Bench, case: &Value, version: i32) -> Vec<(String, String)> {
    let (request, response) = (&case["request"], &case["response"]);
    let given = text(&response["member_id"]);
    let fresh_id = given.len().checked_sub(36).and_then(|at| Uuid::parse_str(&given[at..]).ok()).unwrap_or_default();
    let protocol = |p: &Value| Protocol { name: text(&p["name"]), metadata: hex(&p["metadata"]) };
    let join = Join {
        group: text(&request["group"]),
        member_id: text(&request["member_id"]),
        instance_id: optional_text(&request["instance_id"]),
        client_id: "oracle".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout: millis(&request["session_timeout_millis"]),
        rebalance_timeout: millis(&request["rebalance_timeout_millis"]),
        protocol_type: text(&request["protocol_type"]),
        protocols: list(&request["protocols"]).iter().map(protocol).collect(),
        fresh_id,
        requires_known_member_id: version >= 4,
        supports_skipping_assignment: version >= 9,
    };
    let Response::Join(joined) = bench.call(Request::Join(join)) else { panic!() };
    // Ids that a real broker made of other bytes than a client's id and a UUID are not made here.
    if given.is_empty() || given.contains('-') {
        assert_eq!(joined.member_id, given, "{}", case["id"]);
    }
    if let Ok(generation) = &joined.result {
        assert_eq!(generation.generation, number(&response["generation"]), "{}", case["id"]);
        assert_eq!(generation.leader, text(&response["leader_id"]), "{}", case["id"]);
        assert_eq!(generation.protocol.as_deref(), response["protocol"].as_str(), "{}", case["id"]);
        let members: Vec<_> = generation.members.iter().map(|m| (m.member_id.clone(), m.metadata.clone())).collect();
        let expected: Vec<_> =
            list(&response["members"]).iter().map(|m| (text(&m["member_id"]), hex(&m["protocol_metadata"]))).collect();
        assert_eq!(members, expected, "{}", case["id"]);
    }
    top(&joined.result)
}

fn ask_sync(bench: &mut Bench, case: &Value) -> Vec<(String, String)> {
    let request = &case["request"];
    let assignment = |a: &Value| (text(&a["member_id"]), hex(&a["member_assignment"]));
    let sync = Sync {
        group: text(&request["group"]),
        generation: number(&request["generation"]),
        member_id: text(&request["member_id"]),
        instance_id: optional_text(&request["instance_id"]),
        protocol_type: optional_text(&request["protocol_type"]),
        protocol: optional_text(&request["protocol"]),
        assignments: list(&request["group_assignment"]).iter().map(assignment).collect(),
    };
    let Response::Sync(result) = bench.call(Request::Sync(sync)) else { panic!() };
    if let Ok(synced) = &result {
        assert_eq!(synced.assignment, hex(&case["response"]["member_assignment"]), "{}", case["id"]);
    }
    top(&result)
}

fn ask_leave(bench: &mut Bench, request: &Value, version: i32) -> Vec<(String, String)> {
    let member =
        |m: &Value| MemberIdentity { member_id: text(&m["member_id"]), instance_id: optional_text(&m["instance_id"]) };
    let leave =
        Leave { group: text(&request["group"]), members: list(&request["members"]).iter().map(member).collect() };
    let Response::Leave(result) = bench.call(Request::Leave(leave)) else { panic!() };
    let Ok(members) = &result else { return top(&result) };
    if version < 3 {
        return top(&members[0].result);
    }
    let answers = members.iter().enumerate().map(|(i, left)| (format!("members[{i}]"), name(&left.result)));
    top(&result).into_iter().chain(answers).collect()
}

fn partition_errors(results: &PartitionResults) -> Vec<(String, String)> {
    let mut errors = Vec::new();
    for (t, (_, partitions)) in results.iter().enumerate() {
        for (p, (_, result)) in partitions.iter().enumerate() {
            errors.push((format!("topics[{t}].partitions[{p}]"), name(result)));
        }
    }
    errors
}

fn ask_commit(bench: &mut Bench, request: &Value, version: i32) -> Vec<(String, String)> {
    let retention = request["retention_time_millis"].as_u64().map(Duration::from_millis);
    let partition = |p: &Value| PartitionCommit {
        partition: number(&p["partition"]),
        offset: Offset(p["offset"].as_i64().unwrap_or_default()),
        leader_epoch: LeaderEpoch(number(&p["leader_epoch"])),
        metadata: text(&p["metadata"]),
    };
    let commit = Commit {
        group: text(&request["group"]),
        generation: number(&request["generation"]),
        member_id: text(&request["member_id"]),
        instance_id: optional_text(&request["instance_id"]),
        retention,
        transaction: None,
        knows_consumer_protocol: version >= 9,
        topics: list(&request["topics"])
            .iter()
            .map(|t| (topic(&text(&t["topic"])), list(&t["partitions"]).iter().map(partition).collect()))
            .collect(),
    };
    let asked: PartitionResults =
        commit.topics.iter().map(|(t, p)| (t.clone(), p.iter().map(|p| (p.partition, Ok(()))).collect())).collect();
    let Response::Commit(result) = bench.call(Request::Commit(commit)) else { panic!() };
    match result {
        Ok(results) => partition_errors(&results),
        Err(error) => partition_errors(&asked).into_iter().map(|(path, _)| (path, name::<()>(&Err(error)))).collect(),
    }
}

fn ask_fetch(bench: &mut Bench, case: &Value, version: i32) -> Vec<(String, String)> {
    let request = &case["request"];
    let mut errors = vec![("top".to_owned(), "NONE".to_owned())];
    for (g, group) in list(&request["groups"]).iter().enumerate() {
        let partitions = |t: &Value| list(&t["partitions"]).iter().map(number).collect();
        let topics = group["topics"].as_array();
        let fetch = FetchOffsets {
            group: text(&group["group"]),
            topics: topics.map(|ts| ts.iter().map(|t| (topic(&text(&t["topic"])), partitions(t))).collect()),
            member: group["member_id"].as_str().map(|id| (id.to_owned(), number(&group["member_epoch"]))),
            require_stable: request["require_stable"] == true,
        };
        let Response::FetchOffsets(result) = bench.call(Request::FetchOffsets(fetch)) else { panic!() };
        let prefix = if version >= 8 { format!("groups[{g}].") } else { String::new() };
        if version >= 8 {
            errors.push((format!("groups[{g}]"), name(&result)));
        }
        let answer = if version >= 8 { &case["response"]["groups"][g] } else { &case["response"] };
        for (t, fetched) in result.unwrap_or_default().into_iter().enumerate() {
            for (p, (_, committed)) in fetched.partitions.into_iter().enumerate() {
                let committed = committed.expect("no transaction is open");
                let expected = &answer["topics"][t]["partitions"][p]["offset"];
                assert_eq!(committed.map_or(-1, |c| c.offset.0), expected.as_i64().unwrap(), "{}", case["id"]);
                errors.push((format!("{prefix}topics[{t}].partitions[{p}]"), "NONE".into()));
            }
        }
    }
    errors
}

fn ask_delete_offsets(bench: &mut Bench, request: &Value) -> Vec<(String, String)> {
    let partitions = |t: &Value| list(&t["partitions"]).iter().map(|p| number(&p["partition"])).collect();
    let delete = DeleteOffsets {
        group: text(&request["group"]),
        topics: list(&request["topics"]).iter().map(|t| (topic(&text(&t["topic"])), partitions(t))).collect(),
    };
    let Response::DeleteOffsets(result) = bench.call(Request::DeleteOffsets(delete)) else { panic!() };
    let partitions = result.as_ref().map(partition_errors).unwrap_or_default();
    top(&result).into_iter().chain(partitions).collect()
}

fn ask_describe(bench: &mut Bench, case: &Value, version: i32) -> Vec<(String, String)> {
    let mut errors = Vec::new();
    for (i, group) in list(&case["request"]["groups"]).iter().enumerate() {
        let Response::Describe(result) = bench.call(Request::Describe(text(group))) else { panic!() };
        let expected = &case["response"]["groups"][i];
        let state = result.as_ref().map_or("Dead", |described| described.state.name());
        assert_eq!(state, text(&expected["state"]), "{}", case["id"]);
        if let Ok(described) = &result {
            assert_eq!(described.protocol, text(&expected["protocol"]), "{}", case["id"]);
            assert_eq!(described.protocol_type, text(&expected["protocol_type"]), "{}", case["id"]);
            assert_eq!(described.members.len(), list(&expected["members"]).len(), "{}", case["id"]);
        }
        // Before version 6 a group that is not there is simply dead.
        let error = if version >= 6 { name(&result.map_err(|refusal| refusal.error)) } else { "NONE".into() };
        errors.push((format!("groups[{i}]"), error));
    }
    errors
}

fn ask_list(bench: &mut Bench, case: &Value) -> Vec<(String, String)> {
    let request = &case["request"];
    let filter = ListFilter {
        states: list(&request["states_filter"]).iter().map(text).collect(),
        types: list(&request["types_filter"]).iter().map(text).collect(),
    };
    let Response::List(groups) = bench.call(Request::List(filter)) else { panic!() };
    let found: BTreeSet<_> = groups.into_iter().map(|g| (g.group, g.state.to_owned(), g.protocol_type)).collect();
    let expected: BTreeSet<_> = list(&case["response"]["groups"])
        .iter()
        .map(|g| (text(&g["group"]), text(&g["group_state"]), text(&g["protocol_type"])))
        .collect();
    assert_eq!(found, expected, "{}", case["id"]);
    vec![("top".into(), "NONE".into())]
}
