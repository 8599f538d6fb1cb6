//! The cases of the consumer protocol (KIP-848), with the words in which Kafka refuses.

use ottla_core::TopicId;
use ottla_core::group::{ConsumerHeartbeat, DescribedConsumer, LEAVE, Partitions, Request, Response};
use serde_json::Value;
use uuid::Uuid;

use super::super::bench::{Bench, topic_id};
use super::{list, name, number, optional_text, text, top};

/// The engine's own reason stands at the end of this one.
const WORDED_OTHERWISE: &str = "ConsumerGroupHeartbeat-08";

/// The record writes empty and null alike: all that join say that they own nothing, but for the case about it.
fn owned(case: &Value) -> Option<Partitions> {
    let joins = case["request"]["member_epoch"] == 0;
    let is_null = case["what"].as_str().unwrap().contains("null owned partitions");
    (joins && !is_null).then(Partitions::default)
}

pub(super) fn ask_heartbeat(bench: &mut Bench, case: &Value, version: i32) -> Vec<(String, String)> {
    let (request, response) = (&case["request"], &case["response"]);
    let timeout = number(&request["rebalance_timeout_millis"]);
    let topics = request["subscribed_topic_names"].as_array();
    let heartbeat = ConsumerHeartbeat {
        group: text(&request["group"]),
        member_id: text(&request["member_id"]),
        member_epoch: number(&request["member_epoch"]),
        instance_id: optional_text(&request["instance_id"]),
        rack_id: optional_text(&request["rack_id"]),
        rebalance_timeout: u64::try_from(timeout).ok().map(std::time::Duration::from_millis),
        topics: topics.map(|names| names.iter().map(text).collect()),
        regex: optional_text(&request["subscribed_topic_regex"]),
        assignor: optional_text(&request["server_assignor"]),
        owned: owned(case),
        client_id: "oracle".into(),
        client_host: "/127.0.0.1".into(),
        fresh_id: Uuid::from_u128(1),
        makes_own_id: version >= 1,
    };
    let is_leaving = heartbeat.member_epoch == LEAVE;
    let Response::ConsumerHeartbeat(result) = bench.call(Request::ConsumerHeartbeat(heartbeat)) else { panic!() };
    match &result {
        Ok(beat) => {
            assert_eq!(beat.member_epoch, number(&response["member_epoch"]), "{}", case["id"]);
            let interval = number(&response["heartbeat_interval_millis"]);
            assert_eq!(beat.heartbeat_interval.as_millis(), interval as u128, "{}", case["id"]);
            let expected = list(&response["assignment"]["topics"]).iter().flat_map(|topic| list(&topic["partitions"]));
            let expected = expected.map(|partition| (topic_id("t1"), number(partition)));
            let is_told = !response["assignment"].is_null();
            assert_eq!(beat.assignment, is_told.then(|| expected.collect::<Partitions>()), "{}", case["id"]);
            assert!(!is_leaving || beat.assignment.is_none());
        }
        Err(refusal) if case["id"] == WORDED_OTHERWISE => {
            let words = text(&response["error_message"]);
            let (expected, _) = words.split_once(": ").unwrap();
            assert!(refusal.message.starts_with(expected), "{} {}", case["id"], refusal.message);
        }
        Err(refusal) => assert_eq!(refusal.message, text(&response["error_message"]), "{}", case["id"]),
    }
    top(&result.map_err(|refusal| refusal.error))
}

pub(super) fn ask_describe(bench: &mut Bench, case: &Value) -> Vec<(String, String)> {
    let (group, expected) = (text(&case["request"]["groups"][0]), &case["response"]["groups"][0]);
    let Response::DescribeConsumer(result) = bench.call(Request::DescribeConsumer(group)) else { panic!() };
    match &result {
        Ok(found) => {
            assert_eq!(found.epoch, number(&expected["epoch"]));
            assert_eq!(found.assignment_epoch, number(&expected["assignment_epoch"]));
            assert_eq!(found.state.name(), text(&expected["state"]));
            assert_eq!(found.assignor, text(&expected["assignor_name"]));
            let mut members: Vec<_> = list(&expected["members"]).iter().map(expected_member).collect();
            let mut found: Vec<_> = found.members.iter().map(found_member).collect();
            members.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, members);
        }
        Err(refusal) => assert_eq!(refusal.message, text(&expected["error_message"]), "{}", case["id"]),
    }
    vec![("groups[0]".into(), name(&result.map_err(|refusal| refusal.error)))]
}

/// Member type, epoch, topics, and the partitions that it has and is to have.
type Member = (i32, i32, Vec<String>, Vec<(TopicId, i32)>, Vec<(TopicId, i32)>);

fn expected_member(member: &Value) -> Member {
    let partitions = |assignment: &Value| {
        let topics = list(&assignment["topic_partitions"]).iter();
        topics.flat_map(|t| list(&t["partitions"]).iter().map(|p| (topic_id(&text(&t["topic"])), number(p)))).collect()
    };
    (
        number(&member["member_type"]),
        number(&member["member_epoch"]),
        list(&member["subscribed_topics"]).iter().map(text).collect(),
        partitions(&member["assignment"]),
        partitions(&member["target_assignment"]),
    )
}

fn found_member(member: &DescribedConsumer) -> Member {
    let partitions = |named: &ottla_core::group::NamedPartitions| {
        named.iter().flat_map(|(id, _, set)| set.iter().map(|p| (*id, *p))).collect()
    };
    (
        i32::from(!member.is_classic),
        member.epoch,
        member.topics.clone(),
        partitions(&member.assignment),
        partitions(&member.target),
    )
}
