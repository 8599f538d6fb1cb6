//! The exact steps from states of the world.

use k8s_openapi::api::core::v1::Service;
use ottla_core::ids::BrokerId;
use serde_json::json;
use uuid::Uuid;

use super::{Plan, Request, Restart, Step, Why, plan};
use crate::{
    cluster::{
        observe::{Kafka, Observed},
        testing::{ID, SMALL, claims, observed, of_brokers, pod, settled, valid},
    },
    kafka::ConfigChange,
    names::{CLUSTER_ID, FOUNDED},
};

/// What the budget says has a test of its own.
fn steps(observed: &Observed) -> Plan {
    let plan = plan(&valid(observed).unwrap(), observed, [Uuid::nil(); 2]).unwrap();
    plan.into_iter().filter(|step| !step.is_of_budget()).collect()
}

/// Each step in a word or two.
fn names(observed: &Observed) -> Vec<String> {
    let name = |step: &Step| match step {
        Step::Annotate { key, value } => format!("annotate {key}={value}"),
        Step::GrowClaim { name, size, .. } => format!("grow claim {name} to {size}"),
        Step::KeepClaims { uid } => format!("keep claims of {uid}"),
        Step::OrphanBrokers { uid, .. } => format!("orphan brokers of {uid}"),
        Step::Forget { key } => format!("forget {key}"),
        Step::DeleteClaim { name, uid } => format!("delete claim {name} {uid}"),
        Step::DeleteService { name, uid } => format!("delete service {name} {uid}"),
        Step::Budget(child) => format!("budget {}", child.body["spec"]["maxUnavailable"]),
        Step::Create(child) => format!("create {} {}", child.resource.kind, child.name),
        Step::Apply(child) => format!("apply {} {}", child.resource.kind, child.name),
        Step::ChangeConfig(changes) => format!("config {changes:?}"),
        Step::Restart(due) => {
            format!("restart {}", due.iter().map(|restart| restart.pod.as_str()).collect::<Vec<_>>().join(" or "))
        }
        Step::Shrink(child, size) => format!("shrink {} {} to {size}", child.resource.kind, child.name),
        Step::Scaling(scaling) => format!("scaling {}", serde_json::to_string(scaling).unwrap()),
        Step::MarkClaim { claim, disks, .. } => format!("mark {claim} {disks}"),
        Step::Ask(request) => format!("ask {request:?}"),
        Step::Wait(why) => format!("wait: {}", why.message),
    };
    steps(observed).iter().map(name).collect()
}

#[test]
fn a_settled_cluster_needs_nothing() {
    assert_eq!(names(&settled(SMALL)), Vec::<String>::new());
}

#[test]
fn a_new_cluster_gets_its_id_before_anything_else() {
    let mut observed = observed(SMALL);
    observed.cluster.metadata.annotations = None;
    assert_eq!(names(&observed), ["annotate ottla.io/cluster-id=AAAAAAAAAAAAAAAAAAAAAA"]);
}

#[test]
fn a_cluster_with_an_id_gets_all_its_objects_in_order() {
    assert_eq!(
        names(&observed(SMALL)),
        [
            "create Secret demo-controller-token",
            "apply ServiceAccount demo-broker",
            "apply ConfigMap demo-config",
            "apply Service demo-brokers",
            "apply Service demo-bootstrap",
            "apply NetworkPolicy demo-broker",
            "apply PodDisruptionBudget demo-broker",
            "apply StatefulSet demo-broker",
        ]
    );
}

#[test]
fn only_a_changed_object_is_applied_again() {
    let mut observed = settled(SMALL);
    let mut service = json!({"metadata": {"ownerReferences": [{"uid": "uid-1", "controller": true}]}});
    service["spec"] = json!({"clusterIP": "10.1.2.3"});
    observed.children.insert("Service", "demo-bootstrap", service);
    assert_eq!(names(&observed), ["apply Service demo-bootstrap"]);
}

#[test]
fn the_budget_follows_what_the_cluster_can_bear_and_holds_up_nothing() {
    let mut observed = settled(&of_brokers(3));
    observed.pods = vec![pod(0, "old", true), pod(1, "old", false), pod(2, "old", true)];
    let steps = plan(&valid(&observed).unwrap(), &observed, [Uuid::nil(); 2]).unwrap();
    let [Step::Budget(budget), Step::Restart(due)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(budget.body["spec"]["maxUnavailable"], 0);
    assert_eq!(due[0].pod, "demo-broker-1");
    crate::cluster::testing::store(&mut observed, budget);
    assert_eq!(names(&observed), ["restart demo-broker-1"]);
}

const OUTSIDE: &str = "listeners: [{name: plain, port: 9092}, {name: out, port: 9094, type: NodePort}]";

#[test]
fn a_listener_outside_gets_its_services_and_brokers_are_told_their_addresses_at_once_and_without_a_restart() {
    let spec = format!("{SMALL}\n{OUTSIDE}");
    let all = names(&observed(&spec));
    assert_eq!(all[all.len() - 2..], ["apply Service demo-bootstrap-out", "apply Service demo-broker-0-out"]);

    let mut observed = settled(&spec);
    assert_eq!(names(&observed), Vec::<String>::new(), "Kubernetes has given no port yet");
    let mut service = observed.children.typed::<Service>("demo-broker-0-out").unwrap();
    service.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].node_port = Some(30007);
    observed.children.insert("Service", "demo-broker-0-out", serde_json::to_value(service).unwrap());
    observed.pods[0].status.as_mut().unwrap().host_ip = Some("192.0.2.1".to_owned());
    let told = |broker: i32, listeners: &str| {
        Step::Ask(Request::Advertise { broker: BrokerId(broker), listeners: listeners.to_owned() })
    };
    assert_eq!(steps(&observed), vec![told(0, "OUT://192.0.2.1:30007")]);
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller.brokers[0].advertised = "OUT://192.0.2.1:30007".to_owned();
    assert_eq!(steps(&observed), vec![]);
}

#[test]
fn what_a_removed_listener_left_goes_and_brokers_forget_it() {
    let mut observed = settled(&format!("{SMALL}\n{OUTSIDE}"));
    for name in ["demo-bootstrap-out", "demo-broker-0-out"] {
        let mut body = serde_json::to_value(observed.children.typed::<Service>(name).unwrap()).unwrap();
        body["metadata"]["uid"] = json!(format!("uid of {name}"));
        observed.children.insert("Service", name, body);
    }
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller.brokers[0].advertised = "OUT://192.0.2.1:30007".to_owned();
    observed.cluster.spec.listeners.pop();
    let all = names(&observed);
    for step in [
        "delete service demo-bootstrap-out uid of demo-bootstrap-out",
        "delete service demo-broker-0-out uid of demo-broker-0-out",
        "ask Advertise { broker: BrokerId(0), listeners: \"\" }",
    ] {
        assert!(all.iter().any(|found| found == step), "{step}: {all:?}");
    }
}

#[test]
fn an_id_that_was_removed_is_taken_from_what_bears_it() {
    let mut observed = settled(SMALL);
    observed.cluster.metadata.annotations = None;
    assert_eq!(names(&observed), [format!("annotate {CLUSTER_ID}={ID}")], "from the ConfigMap");

    let mut observed = self::observed(SMALL);
    observed.cluster.metadata.annotations = None;
    observed.claims = vec![claim("kept")];
    assert_eq!(names(&observed), [format!("annotate {CLUSTER_ID}=kept")], "from a kept claim");
}

fn claim(id: &str) -> k8s_openapi::api::core::v1::PersistentVolumeClaim {
    serde_json::from_value(json!({"metadata": {"name": "data-demo-broker-0", "annotations": {CLUSTER_ID: id}}}))
        .unwrap()
}

#[test]
fn disks_of_another_cluster_are_refused() {
    let mut observed = observed(SMALL);
    observed.claims = vec![claim("other")];
    let error = plan(&valid(&observed).unwrap(), &observed, [Uuid::nil(); 2]).unwrap_err();
    assert!(error.to_string().contains(&format!("{ID}, other")), "{error}");
}

#[test]
fn a_cluster_that_serves_for_the_first_time_is_marked_founded() {
    let mut observed = settled(SMALL);
    observed.cluster.metadata.annotations = Some([(CLUSTER_ID.to_owned(), ID.to_owned())].into());
    assert!(names(&observed).contains(&format!("annotate {FOUNDED}=true")), "{:?}", names(&observed));
    observed.kafka = Kafka::NotAsked;
    assert!(!names(&observed).contains(&format!("annotate {FOUNDED}=true")));
}

#[test]
fn a_running_setting_changes_without_touching_an_object() {
    let mut observed = settled(SMALL);
    observed.cluster.spec.config = [("log.cleaner.threads".to_owned(), "2".into())].into();
    let change = ConfigChange::Set("log.cleaner.threads".to_owned(), "2".to_owned());
    assert_eq!(steps(&observed), vec![Step::ChangeConfig(vec![change])]);
}

#[test]
fn a_setting_taken_out_of_the_spec_goes_back_to_its_default() {
    let mut observed = settled(&format!("{SMALL}\nconfig: {{log.cleaner.threads: 2}}"));
    observed.cluster.spec.config.clear();
    let status = observed.cluster.status.get_or_insert_default();
    status.managed_config = vec!["log.cleaner.threads".to_owned()];
    assert_eq!(steps(&observed), vec![Step::ChangeConfig(vec![ConfigChange::Reset("log.cleaner.threads".to_owned())])]);
}

#[test]
fn a_stale_pod_is_restarted_by_uid_once_the_stateful_set_was_seen() {
    let mut observed = settled(SMALL);
    observed.pods = vec![pod(0, "old", true)];
    let (pod, uid) = ("demo-broker-0".to_owned(), "pod-0".to_owned());
    let restart = Restart { pod, uid, serving: Some(BrokerId(0)), unavoidable: 0, why: Why::NewSpec };
    assert_eq!(steps(&observed), vec![Step::Restart(vec![restart])]);

    let mut stateful_set = serde_json::to_value(observed.stateful_set().unwrap()).unwrap();
    stateful_set["metadata"]["generation"] = json!(2);
    stateful_set["status"] = json!({"observedGeneration": 1, "replicas": 1});
    observed.children.insert("StatefulSet", "demo-broker", stateful_set);
    assert_eq!(steps(&observed), vec![], "its controller would make the old pod again");
}

#[test]
fn no_serving_broker_is_stopped_while_another_is_down() {
    let mut observed = settled(&of_brokers(2));
    let template = super::super::pods::template(&observed.pods[0]).unwrap().to_owned();
    observed.pods = vec![pod(0, "old", true), pod(1, &template, false)];
    assert_eq!(steps(&observed), vec![]);
    observed.pods = vec![pod(0, "old", true), pod(1, "old", false)];
    assert_eq!(names(&observed), ["restart demo-broker-1"], "the one that is down anyway goes first");
    observed.pods[1].metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(steps(&observed), vec![], "one at a time");
    observed.pods = vec![pod(0, "old", true)];
    assert_eq!(steps(&observed), vec![], "the other one's pod is still to be made");
}

#[test]
fn the_active_controller_is_restarted_last() {
    let mut observed = settled(&of_brokers(3));
    let template = super::super::pods::template(&observed.pods[0]).unwrap().to_owned();
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller.brokers.iter_mut().for_each(|broker| broker.is_controller = broker.id == BrokerId(2));
    let mut order = Vec::new();
    observed.pods = (0..3).map(|id| pod(id, "old", true)).collect();
    assert_eq!(names(&observed), ["restart demo-broker-1 or demo-broker-0 or demo-broker-2"]);
    while let [Step::Restart(due)] = steps(&observed).as_slice() {
        let broker = due[0].serving.unwrap();
        order.push(broker.0);
        observed.pods[usize::try_from(broker.0).unwrap()] = pod(broker.0, &template, true);
    }
    assert_eq!(order, [1, 0, 2]);
}

#[test]
fn larger_disks_are_asked_for_before_the_set_is_made_anew() {
    let mut observed = settled(SMALL);
    observed.claims = claims(1);
    observed.cluster.spec.storage = serde_yaml::from_str("{volumes: [{name: data, size: 2Gi}]}").unwrap();
    let mut set = serde_json::to_value(observed.stateful_set().unwrap()).unwrap();
    set["metadata"]["uid"] = json!("set-1");
    observed.children.insert("StatefulSet", "demo-broker", set);
    assert_eq!(names(&observed), ["grow claim data-demo-broker-0 to 2Gi", "orphan brokers of set-1"]);
}

#[test]
fn what_is_lost_is_replaced_before_anything_is_restarted() {
    let mut observed = settled(SMALL);
    observed.claims = claims(1);
    observed.cluster.spec.repair.after = "0s".to_owned();
    observed.claims[0].status.as_mut().unwrap().phase = Some("Lost".to_owned());
    observed.pods = vec![pod(0, "old", true)];
    let begun = r#"{"broker":0,"pod":"pod-0","claims":{"data-demo-broker-0":"claim-0"}}"#;
    assert_eq!(names(&observed), [format!("annotate ottla.io/repair={begun}")]);
}
