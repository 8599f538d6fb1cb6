//! The signs of a loss, one by one, and what only looks like one.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::cluster::{
    nodes::Nodes,
    observe::Kafka,
    testing::{claims, no_controller, of_brokers, settled},
};

/// Three brokers of which broker 2 has been fenced, with this in its pod.
fn fenced(pod: Value) -> Observed {
    let mut observed = settled(&of_brokers(3));
    observed.claims = claims(3);
    observed.now = Timestamp::from_second(1_000).unwrap();
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller.brokers[2].fenced = true;
    let mut whole = serde_json::to_value(&observed.pods[2]).unwrap();
    merge(&mut whole, &pod);
    observed.pods[2] = serde_json::from_value(whole).unwrap();
    observed
}

fn merge(whole: &mut Value, part: &Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().for_each(|(key, value)| merge(whole.entry(key).or_insert(Value::Null), value));
        }
        (whole, part) => *whole = part.clone(),
    }
}

fn conditions(all: &[(&str, &str)]) -> Value {
    let all: Vec<_> = all.iter().map(|(kind, status)| json!({"type": kind, "status": status})).collect();
    json!({"status": {"conditions": all}})
}

fn unscheduled(message: &str) -> Value {
    json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": message}]}})
}

fn on_node(mut pod: Value) -> Value {
    pod["spec"]["nodeName"] = json!("n2");
    pod
}

fn found(observed: &Observed) -> Option<(Cause, Vec<String>)> {
    loss(2, observed).map(|loss| (loss.cause, loss.claims))
}

const SILENT: &[(&str, &str)] = &[("Ready", "False"), ("ContainersReady", "True")];
const CRASHED: &[(&str, &str)] = &[("Ready", "False"), ("ContainersReady", "False")];

fn data() -> Vec<String> {
    vec!["data-demo-broker-2".to_owned()]
}

#[test]
fn a_broker_that_serves_or_restarts_is_not_lost() {
    assert_eq!(losses(&settled(&of_brokers(3))), []);
    assert_eq!(found(&fenced(on_node(conditions(CRASHED)))), None, "Kubernetes starts it again");
    let mut no_pod = fenced(json!({}));
    no_pod.pods.pop();
    assert_eq!(found(&no_pod), None, "the StatefulSet makes it again");
    let leaving = json!({"metadata": {"deletionTimestamp": "1970-01-01T00:16:35Z"}});
    assert_eq!(found(&fenced(on_node(leaving))), None, "it should have ended five seconds ago");
}

#[test]
fn a_silent_node_is_a_loss_by_its_own_state_or_by_the_pods() {
    let observed = |state: Option<NodeState>, pod: &[(&str, &str)]| {
        let mut observed = fenced(on_node(conditions(pod)));
        if let Some(state) = state {
            observed.nodes = Nodes::default().with_node("n2", state);
        }
        observed
    };
    for (state, pod, is_lost) in [
        (Some(NodeState::Ready), SILENT, false),
        (Some(NodeState::NotReady), CRASHED, true),
        (Some(NodeState::Gone), CRASHED, true),
        (None, SILENT, true),
        (None, CRASHED, false),
        (None, &[("Ready", "Unknown")], true),
    ] {
        let expected = is_lost.then(|| (Cause::NodeSilent, Vec::new()));
        assert_eq!(found(&observed(state, pod)), expected, "{state:?} {pod:?}");
    }
    let mut local = observed(Some(NodeState::NotReady), SILENT);
    local.nodes = local.nodes.with_volume(&data()[0], &["n2"]);
    assert_eq!(found(&local), Some((Cause::NodeSilent, data())), "its volume cannot leave the node");
}

#[test]
fn a_broker_that_the_controller_takes_for_alive_is_not_lost_with_its_kubelet() {
    let mut observed = fenced(on_node(conditions(SILENT)));
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller.brokers[2].fenced = false;
    assert_eq!(found(&observed), None);
}

#[test]
fn nobody_is_lost_while_the_controller_cannot_be_asked() {
    let mut observed = fenced(on_node(conditions(SILENT)));
    let Kafka::Seen { controller, .. } = &mut observed.kafka else { panic!() };
    *controller = Err(no_controller());
    assert_eq!(losses(&observed), []);
}

#[test]
fn a_pod_that_does_not_end_is_a_loss_unless_its_node_is_well() {
    let stuck = on_node(json!({"metadata": {"deletionTimestamp": "1970-01-01T00:15:00Z"}}));
    let mut observed = fenced(stuck);
    assert_eq!(found(&observed), Some((Cause::PodStuck, Vec::new())));
    observed.nodes = Nodes::default().with_node("n2", NodeState::Ready);
    assert_eq!(found(&observed), None);
}

#[test]
fn a_pod_whose_volume_is_nowhere_is_a_loss_and_one_that_waits_for_anything_else_is_not() {
    const TAINT: &str = "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }";
    const CONTROL_PLANE: &str = "1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }";
    const ELSEWHERE: &str = "2 node(s) had volume node affinity conflict";
    const ELSEWHERE_NEWER: &str = "2 node(s) didn't match PersistentVolume's node affinity";
    const PREEMPTION: &str = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
    for (reasons, is_lost) in [
        (format!("{TAINT}, {ELSEWHERE}. {PREEMPTION}"), true),
        (format!("{CONTROL_PLANE}, {ELSEWHERE_NEWER}."), true),
        (format!("{ELSEWHERE}."), true),
        (format!("1 node(s) were unschedulable, {ELSEWHERE}. {PREEMPTION}"), false),
        (format!("1 Insufficient cpu, {ELSEWHERE}."), false),
        (format!("1 node(s) had untolerated taint {{dedicated: db}}, {ELSEWHERE}."), false),
        (format!("{TAINT}."), false),
    ] {
        let observed = fenced(unscheduled(&format!("0/3 nodes are available: {reasons}")));
        let expected = is_lost.then(|| (Cause::VolumeUnreachable, data()));
        assert_eq!(found(&observed), expected, "{reasons}");
    }
    for message in ["", "no nodes available to schedule pods", "0/3 nodes are available: "] {
        assert_eq!(found(&fenced(unscheduled(message))), None, "{message}");
    }
}

#[test]
fn whoever_may_look_at_nodes_believes_them_and_not_the_scheduler() {
    let message = "0/3 nodes are available: 3 node(s) had volume node affinity conflict.";
    let mut observed = fenced(unscheduled(message));
    let nodes = |state| Nodes::default().with_volume(&data()[0], &["n2"]).with_node("n2", state);
    observed.nodes = nodes(NodeState::Ready);
    assert_eq!(found(&observed), None, "its node is there and only cannot take it now");
    observed.nodes = nodes(NodeState::Gone);
    assert_eq!(found(&observed), Some((Cause::VolumeUnreachable, data())));
}

#[test]
fn claims_without_a_volume_or_on_their_way_out_are_a_loss() {
    let mut observed = settled(&of_brokers(3));
    observed.claims = claims(3);
    observed.claims[2].status.get_or_insert_default().phase = Some("Lost".to_owned());
    assert_eq!(found(&observed), Some((Cause::VolumeLost, data())));
    observed.claims = claims(3);
    observed.claims[2].metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    assert_eq!(found(&observed), Some((Cause::ClaimDeleted, data())));
}

#[test]
fn a_failed_directory_names_the_claim_it_lies_on() {
    let mut observed = settled(&of_brokers(3));
    let mut two_disks = serde_json::to_value(&observed.pods[2]).unwrap();
    let spec = &mut two_disks["spec"];
    spec["containers"][0]["volumeMounts"].as_array_mut().unwrap().push(json!({"name": "more", "mountPath": "/more"}));
    let more = json!({"name": "more", "persistentVolumeClaim": {"claimName": "more-demo-broker-2"}});
    spec["volumes"].as_array_mut().unwrap().insert(0, more);
    observed.pods[2] = serde_json::from_value(two_disks).unwrap();
    let fail = |observed: &mut Observed, directories: usize| {
        let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
        let directory = controller.brokers[2].directories[0].clone();
        controller.brokers[2].directories = vec![directory; directories];
        controller.brokers[2].directories[directories - 1].failure = Some("input/output error".to_owned());
    };
    observed.claims = claims(3);
    fail(&mut observed, 2);
    let more = serde_json::from_value(json!({"metadata": {"name": "more-demo-broker-2", "uid": "more-2"}})).unwrap();
    observed.claims.push(more);
    let cause = Cause::DiskFailed("input/output error".to_owned());
    assert_eq!(found(&observed), Some((cause, vec!["more-demo-broker-2".to_owned()])));
    fail(&mut observed, 3);
    assert_eq!(found(&observed), None, "which claim is meant cannot be told");
    fail(&mut observed, 2);
    observed.pods[2].metadata.annotations = None;
    assert_eq!(found(&observed), None, "its directories are those of another template");
}

#[test]
fn a_broker_whose_storage_fails_at_every_start_is_lost_and_one_with_another_fault_is_not() {
    let container = |state: Value, code: i32| {
        json!({"status": {"containerStatuses": [{
            "name": "broker", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": state, "lastState": {"terminated": {"exitCode": code}},
        }], "conditions": [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "False"}]}})
    };
    let waiting = || json!({"waiting": {"reason": "CrashLoopBackOff"}});
    assert_eq!(found(&fenced(container(waiting(), 4))), Some((Cause::StorageFailed, data())));
    assert_eq!(found(&fenced(container(json!({"running": {}}), 4))), None, "it may be reading its log");
    for code in [2, 3, 70, 137] {
        assert_eq!(found(&fenced(container(waiting(), code))), None, "{code}");
    }
}
