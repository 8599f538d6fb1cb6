//! What is done about a lost broker, step by step, and what keeps it from being done.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use ottla_crds::cluster::{BrokerState, BrokerStatus};
use serde_json::json;

use super::*;
use crate::{
    cluster::{
        nodes::{NodeState, Nodes},
        observe::{Controller, Kafka},
        testing::{claims, of_brokers, pod, settled},
    },
    kafka::TopicPlacement,
};

const AFTER: i64 = 300;

/// Three brokers; the node of broker 2, and its disk with it, has been gone for so many seconds.
fn lost_for(seconds: i64) -> Observed {
    let mut observed = settled(&of_brokers(3));
    observed.claims = claims(3);
    observed.now = Timestamp::from_second(10_000).unwrap();
    lose(&mut observed, 2, seconds);
    observed
}

fn lose(observed: &mut Observed, id: i32, seconds: i64) {
    let at = usize::try_from(id).unwrap();
    controller(observed).brokers[at].fenced = true;
    let mut silent = serde_json::to_value(&observed.pods[at]).unwrap();
    silent["spec"]["nodeName"] = json!(format!("n{id}"));
    silent["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
    observed.pods[at] = serde_json::from_value(silent).unwrap();
    let (node, claim) = (format!("n{id}"), format!("data-demo-broker-{id}"));
    observed.nodes =
        std::mem::take(&mut observed.nodes).with_node(&node, NodeState::Gone).with_volume(&claim, &[&node]);
    let since = observed.now - SignedDuration::from_secs(seconds);
    let state = BrokerStatus {
        id,
        pod: observed.names.pod(id),
        state: BrokerState::Lost,
        lost_since: Some(Time(since)),
        epoch: None,
        leaders: None,
        replicas: None,
        bytes_left: None,
        estimated_seconds_left: None,
        disk_used_percent: None,
    };
    observed.cluster.status.get_or_insert_default().broker_states.push(state);
}

fn controller(observed: &mut Observed) -> &mut Controller {
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller
}

fn topic(name: &str, partitions: Vec<PartitionPlacement>) -> TopicPlacement {
    TopicPlacement { topic: name.to_owned(), min_in_sync: 1, partitions }
}

fn partition(index: i32, target: &[i32], in_sync: &[i32], leader: Option<i32>) -> PartitionPlacement {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    PartitionPlacement {
        index,
        target: ids(target),
        adding: Vec::new(),
        removing: Vec::new(),
        in_sync: ids(in_sync),
        leader: leader.map(BrokerId),
        bytes: None,
    }
}

fn note(observed: &mut Observed, begun: &str) {
    observed.cluster.metadata.annotations.get_or_insert_default().insert(REPAIR.to_owned(), begun.to_owned());
}

const BEGUN: &str = r#"{"broker":2,"pod":"pod-2","claims":{"data-demo-broker-2":"claim-2"}}"#;

fn acts(observed: &Observed) -> Vec<Step> {
    match repair(observed).unwrap().verdict {
        Verdict::Act(steps) => steps,
        Verdict::Wait { reason, message } => panic!("waits for {reason}: {message}"),
    }
}

fn waits(observed: &Observed) -> (&'static str, String) {
    match repair(observed).unwrap().verdict {
        Verdict::Wait { reason, message } => (reason, message),
        Verdict::Act(steps) => panic!("acts: {steps:?}"),
    }
}

fn away(why: Why) -> Step {
    let (pod, uid) = ("demo-broker-2".to_owned(), "pod-2".to_owned());
    Step::Restart(vec![Restart { pod, uid, serving: None, unavoidable: 0, why }])
}

#[test]
fn nothing_is_done_where_nothing_is_lost_or_the_cluster_never_served() {
    assert_eq!(repair(&settled(&of_brokers(3))), None);
    let mut new = lost_for(AFTER);
    new.cluster.metadata.annotations.as_mut().unwrap().remove(FOUNDED);
    assert_eq!(repair(&new), None);
}

#[test]
fn a_lost_broker_is_given_its_time_and_then_replaced_step_by_step() {
    let (reason, message) = waits(&lost_for(AFTER - 60));
    assert_eq!(reason, "BrokerLost");
    assert_eq!(message, "broker 2 is lost: its node does not report. It is replaced in 60 s unless it comes back");

    let mut observed = lost_for(AFTER);
    let noted = Step::Annotate { key: REPAIR, value: BEGUN.to_owned() };
    assert_eq!(acts(&observed), [noted], "before anything is done it is written down");

    note(&mut observed, BEGUN);
    let claim = Step::DeleteClaim { name: "data-demo-broker-2".to_owned(), uid: "claim-2".to_owned() };
    assert_eq!(acts(&observed), [claim, away(Why::NodeGone)]);

    observed.claims[2].metadata.deletion_timestamp = Some(Time(observed.now));
    assert_eq!(acts(&observed), [away(Why::NodeGone)], "cut off between the two");

    observed.claims.pop();
    observed.pods.pop();
    observed.nodes = Nodes::default();
    assert_eq!(waits(&observed).0, "ReplacingBroker");

    observed.claims = claims(3);
    observed.claims[2].metadata.uid = Some("claim-new".to_owned());
    let mut new = pod(2, "new", false);
    new.metadata.uid = Some("pod-new".to_owned());
    observed.pods.push(new);
    assert_eq!(waits(&observed).0, "ReplacingBroker", "what was made since is not touched");

    observed.pods[2].status = observed.pods[1].status.clone();
    controller(&mut observed).brokers[2].fenced = false;
    controller(&mut observed).health.under_replicated = 1;
    let partitions = vec![partition(0, &[0, 2], &[0], Some(0)), partition(1, &[0, 2], &[0, 2], Some(0))];
    controller(&mut observed).placements.push(topic("t", partitions));
    let message = "broker 2 is being replaced, and 1 of its 2 replicas are still to be filled".to_owned();
    assert_eq!(waits(&observed), ("ReplacingBroker", message), "it serves and is still empty");

    controller(&mut observed).health.under_replicated = 0;
    assert_eq!(acts(&observed), [Step::Forget { key: REPAIR }]);
}

#[test]
fn a_loss_that_is_seen_for_the_first_time_counts_from_now() {
    let mut observed = lost_for(AFTER);
    observed.cluster.status = None;
    assert_eq!(waits(&observed).0, "BrokerLost");
    observed.cluster.spec.repair.after = "0s".to_owned();
    assert!(matches!(acts(&observed)[..], [Step::Annotate { .. }]));
}

#[test]
fn a_volume_that_another_node_can_reach_is_kept_until_the_new_pod_misses_it() {
    let mut observed = lost_for(AFTER);
    observed.nodes = Nodes::default().with_node("n2", NodeState::Gone);
    let value = r#"{"broker":2,"pod":"pod-2","claims":{}}"#;
    assert_eq!(acts(&observed), [Step::Annotate { key: REPAIR, value: value.to_owned() }]);
    note(&mut observed, value);
    assert_eq!(acts(&observed), [away(Why::NodeGone)]);

    let message = "0/3 nodes are available: 3 node(s) had volume node affinity conflict.";
    let conditions = json!([{"type": "PodScheduled", "status": "False", "message": message}]);
    let mut new = serde_json::to_value(pod(2, "new", false)).unwrap();
    (new["metadata"]["uid"], new["status"]["conditions"]) = (json!("pod-new"), conditions);
    observed.pods[2] = serde_json::from_value(new).unwrap();
    observed.nodes = Nodes::default();
    let value = r#"{"broker":2,"pod":"pod-new","claims":{"data-demo-broker-2":"claim-2"}}"#;
    assert_eq!(acts(&observed), [Step::Annotate { key: REPAIR, value: value.to_owned() }], "without waiting again");
}

#[test]
fn a_broker_that_comes_back_in_time_is_left_alone() {
    let mut observed = lost_for(AFTER);
    note(&mut observed, BEGUN);
    observed.pods[2] = pod(2, "template", true);
    controller(&mut observed).brokers[2].fenced = false;
    assert_eq!(acts(&observed), [Step::Forget { key: REPAIR }], "its claim was not deleted yet");
}

#[test]
fn a_broker_that_starts_on_its_disk_after_all_keeps_it() {
    let mut observed = lost_for(AFTER);
    note(&mut observed, BEGUN);
    observed.nodes = Nodes::default();
    observed.pods[2] = pod(2, "template", false);
    assert_eq!(waits(&observed).0, "ReplacingBroker", "its node is back and its process starts");
    note(&mut observed, r#"{"broker":2,"pod":"pod-2","claims":{}}"#);
    assert_eq!(waits(&observed).0, "ReplacingBroker", "so it is with a volume that is reached from anywhere");
    note(&mut observed, BEGUN);
    observed.pods[2].metadata.uid = Some("pod-new".to_owned());
    assert_eq!(waits(&observed).0, "ReplacingBroker", "so it is in a new pod");
    lose(&mut observed, 2, AFTER);
    assert!(matches!(acts(&observed)[..], [Step::DeleteClaim { .. }]), "lost again before it served");
}

#[test]
fn several_lost_brokers_are_an_event_of_the_cluster_and_nothing_is_destroyed() {
    let mut observed = lost_for(AFTER);
    lose(&mut observed, 0, AFTER);
    let (reason, message) = waits(&observed);
    assert_eq!(reason, "ClusterEvent");
    assert!(message.contains("broker 0 (its node does not report), broker 2 (its node does not report)"), "{message}");
    note(&mut observed, BEGUN);
    assert_eq!(waits(&observed).0, "ClusterEvent", "not even when it was begun");
}

#[test]
fn a_broker_is_not_replaced_while_the_rest_is_not_well_or_needs_what_it_holds() {
    let mut not_ready = lost_for(AFTER);
    not_ready.pods[0] = pod(0, "template", false);
    let mut fenced = lost_for(AFTER);
    controller(&mut fenced).brokers[1].fenced = true;
    let mut unregistered = lost_for(AFTER);
    controller(&mut unregistered).brokers.remove(1);
    let mut failing = lost_for(AFTER);
    controller(&mut failing).brokers[1].directories[0].failure = Some("EIO".to_owned());
    failing.pods[1].metadata.annotations = None;
    let mut offline = lost_for(AFTER);
    controller(&mut offline).health.offline = 1;
    let partitions = vec![partition(0, &[2], &[], Some(1)), partition(1, &[2], &[], None)];
    controller(&mut offline).placements.push(topic("logs", partitions));
    let mut short = lost_for(AFTER);
    controller(&mut short).health.under_min_isr = 7;
    for (mut observed, part) in [
        (not_ready, "broker 0 is not well either"),
        (fenced, "broker 1 is not well either"),
        (unregistered, "broker 1 is not well either"),
        (failing, "broker 1 is not well either"),
        (offline, "1 partitions (logs-1) have no other copy that holds all their records"),
        (short, "7 partitions have fewer in-sync replicas than min.insync.replicas without it"),
    ] {
        for begun in [false, true] {
            if begun {
                note(&mut observed, BEGUN);
            }
            let (reason, message) = waits(&observed);
            assert_eq!(reason, "RepairBlocked");
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn a_person_can_keep_it_from_being_done() {
    let mut observed = lost_for(AFTER);
    observed.cluster.spec.repair.mode = Mode::Paused;
    assert_eq!(waits(&observed).0, "RepairPaused");
    note(&mut observed, BEGUN);
    assert_eq!(waits(&observed).0, "RepairPaused");
}

#[test]
fn a_failed_disk_is_given_up_and_its_broker_stopped_in_order_if_it_can_be_spared() {
    let mut observed = settled(&of_brokers(3));
    observed.claims = claims(3);
    observed.cluster.spec.repair.after = "0s".to_owned();
    controller(&mut observed).brokers[2].directories[0].failure = Some("EIO".to_owned());
    assert!(matches!(acts(&observed)[..], [Step::Annotate { .. }]));
    note(&mut observed, BEGUN);
    let claim = Step::DeleteClaim { name: "data-demo-broker-2".to_owned(), uid: "claim-2".to_owned() };
    let (pod, uid) = ("demo-broker-2".to_owned(), "pod-2".to_owned());
    let restart = Restart { pod, uid, serving: Some(BrokerId(2)), unavoidable: 0, why: Why::NewDisk };
    assert_eq!(acts(&observed), [claim, Step::Restart(vec![restart])]);
}

#[test]
fn a_broker_that_still_serves_without_a_volume_is_not_done_before_it_has_another() {
    let mut observed = settled(&of_brokers(3));
    observed.claims = claims(3);
    observed.claims[2].status.as_mut().unwrap().phase = Some("Lost".to_owned());
    note(&mut observed, BEGUN);
    let asks = |observed: &Observed| match &acts(observed)[..] {
        [Step::DeleteClaim { .. }, Step::Restart(due)] => due[0].serving,
        other => panic!("{other:?}"),
    };
    assert_eq!(asks(&observed), Some(BrokerId(2)), "whether it can be spared is asked first");
    observed.pods[2] = pod(2, "template", false);
    assert_eq!(asks(&observed), Some(BrokerId(2)), "the controller takes it for alive, whatever its probe says");
}

#[test]
fn a_lost_broker_that_leaves_is_not_replaced_and_one_that_was_begun_is_forgotten() {
    let mut observed = settled(&of_brokers(5));
    observed.claims = claims(5);
    observed.now = Timestamp::from_second(10_000).unwrap();
    lose(&mut observed, 4, AFTER);
    observed.cluster.spec.brokers = 4;
    assert_eq!(repair(&observed), None, "it is told that it drains, and not that it is replaced");
    note(&mut observed, r#"{"broker":4,"pod":"pod-4","claims":{"data-demo-broker-4":"claim-4"}}"#);
    assert_eq!(acts(&observed), [Step::Forget { key: REPAIR }]);
    lose(&mut observed, 1, AFTER);
    assert_eq!(acts(&observed), [Step::Forget { key: REPAIR }], "it is no event of the cluster");
    observed.cluster.metadata.annotations.as_mut().unwrap().remove(REPAIR);
    let (reason, message) = waits(&observed);
    assert_eq!(reason, "RepairBlocked");
    assert!(message.contains("broker 4 is not well either"), "{message}");
}

#[test]
fn times_are_read_as_they_are_written() {
    for (text, expected) in
        [("5m", 300), ("1h30m", 5_400), ("10s", 10), ("0s", 0), ("1h1m1s", 3_661), ("99999999999999999999h", i64::MAX)]
    {
        assert_eq!(seconds(text), expected, "{text}");
    }
}
