//! Conditions and counts from states of the world.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use ottla_core::ids::BrokerId;
use ottla_crds::{
    KafkaClusterStatus,
    cluster::BrokerState,
    conditions::{ConditionType, find},
};
use serde_json::json;

use super::{Outcome, assess};
use crate::{
    cluster::{
        observe::{Kafka, NoController, Observed},
        remainder::Left,
        testing::{ID, SMALL, claims, no_controller, observed, of_brokers, pod, settled},
    },
    error::Refusal,
    kafka::{self, PartitionView, TopicView, fake},
    names::SCALING,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn condition(status: &KafkaClusterStatus, condition: ConditionType) -> (&str, &str) {
    let found = find(&status.conditions, condition).unwrap();
    (&found.status, &found.reason)
}

fn ready(observed: &Observed, outcome: &Outcome) -> (String, String, String) {
    let status = assess(observed, outcome, NOW);
    let ready = find(&status.conditions, ConditionType::Ready).unwrap();
    (ready.status.clone(), ready.reason.clone(), ready.message.clone())
}

fn with_partitions(partitions: Vec<PartitionView>) -> Observed {
    let mut observed = settled(SMALL);
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    let topic = TopicView { name: "t".to_owned(), id: Default::default(), partitions };
    controller.health = fake::health([&topic].into_iter());
    observed
}

fn partition(leader: Option<i32>, in_sync: &[i32]) -> PartitionView {
    PartitionView {
        leader: leader.map(BrokerId),
        replicas: vec![BrokerId(0)],
        in_sync: in_sync.iter().copied().map(BrokerId).collect(),
        ..PartitionView::default()
    }
}

#[test]
fn a_settled_cluster_is_ready_and_says_where_to_connect() {
    let status = assess(&settled(SMALL), &Outcome::Settled, NOW);
    assert_eq!(condition(&status, ConditionType::Ready), ("True", "AllBrokersReady"));
    assert_eq!(condition(&status, ConditionType::Available), ("True", "Serving"));
    for other in ["Progressing", "Rebalancing", "Degraded", "Reconciling", "Stalled"] {
        let found = status.conditions.iter().find(|condition| condition.type_ == other).unwrap();
        assert_eq!(found.status, "False", "{other}");
        assert_eq!(found.observed_generation, Some(1));
    }
    assert_eq!(status.listeners[0].bootstrap_servers, "demo-bootstrap.prod.svc:9092");
    assert_eq!(status.cluster_id.as_deref(), Some(ID));
    assert_eq!((status.brokers, status.ready_brokers), (1, 1));
    assert_eq!(status.broker_states[0].state, BrokerState::Ready);
}

#[test]
fn the_pods_themselves_are_named_where_they_are_advertised() {
    let spec = format!("{SMALL}\nlisteners: [{{name: plain, port: 9092, advertise: PodIP}}]");
    let status = assess(&settled(&spec), &Outcome::Settled, NOW);
    assert_eq!(status.listeners[0].bootstrap_servers, "10.0.0.0:9092");
}

#[test]
fn a_pass_that_changes_something_is_not_ready() {
    let (status, reason, _) = ready(&settled(SMALL), &Outcome::Changing);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ApplyingChanges"));
}

#[test]
fn a_pod_that_fails_is_named_with_what_its_exit_code_means() {
    let mut observed = settled(SMALL);
    observed.pods = vec![
        serde_json::from_value(json!({
            "metadata": { "name": "demo-broker-0", "annotations": observed.pods[0].metadata.annotations },
            "status": { "containerStatuses": [{
                "name": "broker", "image": "", "imageID": "", "ready": false, "restartCount": 3,
                "state": { "waiting": { "reason": "CrashLoopBackOff" } },
                "lastState": { "terminated": { "exitCode": 3 } },
            }] },
        }))
        .unwrap(),
    ];
    observed.kafka = Kafka::NotAsked;
    let (status, reason, message) = ready(&observed, &Outcome::Settled);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "BrokersNotReady"));
    assert!(message.contains("exit code 3: its disk belongs to another broker or cluster"), "{message}");
    let status = assess(&observed, &Outcome::Settled, NOW);
    assert_eq!(condition(&status, ConditionType::Degraded), ("True", "BrokersNotReady"));
    assert_eq!(status.broker_states[0].state, BrokerState::Restarting);
    assert_eq!(status.partitions, None, "old numbers are not shown as present ones");
}

#[test]
fn a_pod_that_kubernetes_does_not_make_is_named_with_who_says_why() {
    let mut observed = settled(&of_brokers(3));
    observed.pods.truncate(1);
    let seen = |observed: &mut Observed, generation: i64| {
        let mut stored = serde_json::to_value(observed.stateful_set().unwrap()).unwrap();
        stored["metadata"]["generation"] = json!(2);
        stored["status"] = json!({ "observedGeneration": generation, "replicas": 1 });
        observed.children.insert("StatefulSet", "demo-broker", stored);
        ready(observed, &Outcome::Settled)
    };
    let (_, reason, message) = seen(&mut observed, 1);
    assert_eq!((reason.as_str(), message.as_str()), ("BrokersNotReady", "1 of 3 brokers are ready"), "it is too early");
    let (_, _, message) = seen(&mut observed, 2);
    let expected = "1 of 3 brokers are ready: there is no pod demo-broker-1, demo-broker-2 yet; if none comes, \
                    kubectl describe statefulset demo-broker says why";
    assert_eq!(message, expected);
}

#[test]
fn a_roll_tells_how_far_it_has_come() {
    let mut observed = settled(&of_brokers(3));
    observed.pods[0] = pod(0, "old", true);
    for (outcome, expected) in [
        (Outcome::Changing, ("RollingRestart", "2 of 3 brokers have been restarted for the new spec")),
        (Outcome::Settled, ("RollingRestart", "2 of 3 brokers have been restarted for the new spec")),
        (Outcome::HeldUp(Refusal::new("WaitingForReplicas", "not yet")), ("WaitingForReplicas", "not yet")),
    ] {
        let (status, reason, message) = ready(&observed, &outcome);
        assert_eq!((status.as_str(), (reason.as_str(), message.as_str())), ("False", expected));
    }
}

#[test]
fn a_new_broker_is_starting_until_it_serves_and_takes_no_redundancy_away() {
    let mut observed = settled(&of_brokers(3));
    observed.cluster.spec.brokers = 4;
    observed.pods.push(pod(3, "new", false));
    let look = |observed: &mut Observed| {
        let status = assess(observed, &Outcome::Settled, NOW);
        observed.cluster.status = Some(status.clone());
        assert_eq!(condition(&status, ConditionType::Degraded), ("False", "AsExpected"));
        status.broker_states[3].state
    };
    assert_eq!(look(&mut observed), BrokerState::Starting);
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller.brokers.push(fake::broker(3));
    assert_eq!(look(&mut observed), BrokerState::Starting, "it is registered and not ready");
    observed.pods[3] = pod(3, "new", true);
    assert_eq!(look(&mut observed), BrokerState::Ready);
}

#[test]
fn a_broker_is_draining_from_the_time_that_it_was_written_down_to_leave() {
    let mut observed = settled(&of_brokers(3));
    observed.cluster.spec.brokers = 2;
    let last = |observed: &Observed| assess(observed, &Outcome::Settled, NOW).broker_states[2].state;
    assert_eq!(last(&observed), BrokerState::Ready, "it may be refused");
    let annotations = observed.cluster.metadata.annotations.get_or_insert_default();
    annotations.insert(SCALING.to_owned(), r#"{"from":3,"to":2}"#.to_owned());
    assert_eq!(last(&observed), BrokerState::Draining);
}

#[test]
fn a_cluster_on_its_way_is_starting_and_not_degraded() {
    let status = assess(&observed(SMALL), &Outcome::Settled, NOW);
    assert_eq!(condition(&status, ConditionType::Degraded), ("False", "AsExpected"));
    assert_eq!(status.broker_states[0].state, BrokerState::Starting);
}

#[test]
fn a_broker_tells_what_it_has_left_in_two_digits() {
    let mut observed = settled(SMALL);
    observed.left.insert(BrokerId(0), Left { bytes: 123_456, time: Some(Duration::from_secs(90)) });
    let status = assess(&observed, &Outcome::Settled, NOW);
    let told = (status.broker_states[0].bytes_left, status.broker_states[0].estimated_seconds_left);
    assert_eq!(told, (Some(120_000), Some(90)));
}

#[test]
fn partitions_without_leader_or_replicas_keep_the_cluster_from_being_ready() {
    let offline = with_partitions(vec![partition(None, &[]), partition(Some(0), &[0])]);
    assert_eq!(ready(&offline, &Outcome::Settled).1, "PartitionsOffline");
    assert_eq!(condition(&assess(&offline, &Outcome::Settled, NOW), ConditionType::Available).0, "False");
    let counts = assess(&offline, &Outcome::Settled, NOW).partitions.unwrap();
    assert_eq!((counts.total, counts.offline, counts.under_replicated), (2, 1, 1));
}

#[test]
fn partitions_without_leader_are_told_also_while_there_is_no_controller() {
    let mut headless = settled(SMALL);
    let Kafka::Seen { controller, .. } = &mut headless.kafka else { panic!() };
    *controller = Err(NoController { leaderless: 2, ..no_controller() });
    let status = assess(&headless, &Outcome::Settled, NOW);
    assert_eq!(condition(&status, ConditionType::Available), ("False", "PartitionsOffline"));
    assert_eq!(condition(&status, ConditionType::Ready), ("False", "ControllerUnreachable"));
    assert_eq!(status.partitions, None);
}

#[test]
fn brokers_that_do_not_answer_make_availability_and_redundancy_unknown() {
    let mut observed = settled(SMALL);
    observed.kafka = Kafka::Failed(kafka::Error::Unreachable("refused".to_owned()));
    let status = assess(&observed, &Outcome::Settled, NOW);
    assert_eq!(condition(&status, ConditionType::Available), ("Unknown", "BrokersUnreachable"));
    assert_eq!(condition(&status, ConditionType::Ready), ("False", "BrokersUnreachable"));
    for unknown in [ConditionType::Rebalancing, ConditionType::Degraded] {
        assert_eq!(condition(&status, unknown), ("Unknown", "Unknown"));
    }
}

#[test]
fn a_refused_spec_stalls_while_the_running_brokers_stay_available() {
    let refused = Outcome::Refused(Refusal::not_served("set spec.brokers back to 1"));
    let status = assess(&settled(SMALL), &refused, NOW);
    assert_eq!(condition(&status, ConditionType::Stalled), ("True", "NotServedYet"));
    assert_eq!(condition(&status, ConditionType::Ready), ("False", "NotServedYet"));
    assert_eq!(condition(&status, ConditionType::Reconciling), ("False", "NotServedYet"));
    assert_eq!(condition(&status, ConditionType::Available), ("True", "Serving"));
}

#[test]
fn the_same_findings_make_the_same_status() {
    let mut observed = settled(&format!("{SMALL}\nconfig: {{log.cleaner.threads: 2}}"));
    observed.cluster.status = Some(assess(&observed, &Outcome::Settled, NOW));
    let later = Timestamp::from_second(1000).unwrap();
    assert_eq!(Some(assess(&observed, &Outcome::Settled, later)), observed.cluster.status);
}

#[test]
fn a_cluster_is_not_ready_while_disks_grow_and_says_which() {
    let mut observed = settled(SMALL);
    observed.claims = claims(1);
    assert_eq!(ready(&observed, &Outcome::Settled).0, "True");
    let mut claim = serde_json::to_value(&observed.claims[0]).unwrap();
    claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
    claim["status"]["conditions"] =
        json!([{"type": "FileSystemResizePending", "status": "True", "message": "waiting"}]);
    observed.claims[0] = serde_json::from_value(claim).unwrap();
    let expected = "volumes are growing: data-demo-broker-0 from 1Gi to 2Gi (FileSystemResizePending: waiting)";
    let (_, reason, message) = ready(&observed, &Outcome::Settled);
    assert_eq!((reason.as_str(), message.as_str()), ("VolumesGrowing", expected));
}

#[test]
fn a_lost_broker_is_told_with_the_time_it_was_first_missed() {
    let mut observed = settled(SMALL);
    observed.claims = claims(1);
    observed.now = Timestamp::from_second(500).unwrap();
    observed.claims[0].status.as_mut().unwrap().phase = Some("Lost".to_owned());
    let state = |observed: &Observed| assess(observed, &Outcome::Settled, NOW).broker_states[0].clone();
    let since = |observed: &Observed| state(observed).lost_since.map(|since| since.0.as_second());
    assert_eq!(since(&observed), Some(500));
    let status = assess(&observed, &Outcome::Settled, NOW);
    assert_eq!(condition(&status, ConditionType::Degraded), ("True", "BrokerLost"));
    assert_eq!(condition(&status, ConditionType::Ready), ("False", "BrokerLost"));
    observed.cluster.status = Some(status);
    observed.now = Timestamp::from_second(900).unwrap();
    assert_eq!(since(&observed), Some(500), "it survives the operator");
    let Kafka::Seen { controller, .. } = &mut observed.kafka else { panic!() };
    let answer = std::mem::replace(controller, Err(no_controller()));
    assert_eq!(since(&observed), Some(500), "and a controller that does not answer");
    let Kafka::Seen { controller, .. } = &mut observed.kafka else { panic!() };
    *controller = answer;
    observed.claims = claims(1);
    assert_eq!((since(&observed), state(&observed).state), (None, BrokerState::Ready));
}
