//! The cases of share groups (KIP-932), with the words in which Kafka refuses.

use ottla_core::group::{Partitions, Request, Response, ShareHeartbeat};
use serde_json::Value;

use super::super::bench::Bench;
use super::super::requests::share_beat;
use super::{number, optional_text, text, top};

/// Kafka has no words for this one.
const WORDLESS: &str = "ShareGroupHeartbeat-01";

pub(super) fn ask_heartbeat(bench: &mut Bench, case: &Value) -> Vec<(String, String)> {
    let (request, response) = (&case["request"], &case["response"]);
    let topics = request["subscribed_topic_names"].as_array();
    let heartbeat = ShareHeartbeat {
        rack_id: optional_text(&request["rack_id"]),
        topics: topics.map(|names| names.iter().map(text).collect()),
        ..share_beat(&text(&request["group_id"]), &text(&request["member_id"]), number(&request["member_epoch"]))
    };
    let Response::ShareHeartbeat(result) = bench.call(Request::ShareHeartbeat(heartbeat)) else { panic!() };
    match &result {
        Ok(beat) => {
            assert_eq!(beat.member_epoch, number(&response["member_epoch"]), "{}", case["id"]);
            let interval = number(&response["heartbeat_interval_millis"]);
            assert_eq!(beat.heartbeat_interval.as_millis(), interval as u128, "{}", case["id"]);
            // The one that joins is told of nothing: no partition has a state yet.
            assert_eq!(
                beat.assignment,
                (!response["assignment"].is_null()).then(Partitions::default),
                "{}",
                case["id"]
            );
        }
        Err(_) if case["id"] == WORDLESS => assert!(response["error_message"].is_null()),
        Err(refusal) => assert_eq!(refusal.message, text(&response["error_message"]), "{}", case["id"]),
    }
    top(&result.map_err(|refusal| refusal.error))
}
