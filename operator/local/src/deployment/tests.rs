//! Rollouts within their bounds, played step by step, and the pods of one ReplicaSet.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::{Value, from_value, json};

use super::replicas;
use super::rollout::{self, Action};

fn now() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

fn deployment(image: &str, spec: Value) -> Deployment {
    let mut whole = json!({
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let metadata = json!({"name": "web", "namespace": "shop", "uid": "d", "generation": 7});
    from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": whole})).unwrap()
}

/// The ReplicaSets of a Deployment, whose pods come and go as soon as they are asked to.
struct World(Vec<ReplicaSet>);

impl World {
    /// Does one round; what was done, as `name=size`.
    fn round(&mut self, deployment: &Deployment) -> Vec<String> {
        let actions = rollout::plan(deployment, &self.0, now()).actions;
        for action in &actions {
            match action {
                Action::Create(set) => {
                    let mut set = (**set).clone();
                    set.metadata.creation_timestamp =
                        Some(from_value(json!(format!("2026-01-01T00:00:0{}Z", self.0.len()))).unwrap());
                    self.0.push(set);
                }
                Action::Scale { name, replicas } => {
                    let set = self.0.iter_mut().find(|set| set.name_any() == *name).unwrap();
                    set.spec.replicas = Some(*replicas);
                }
                Action::Delete { name } => self.0.retain(|set| set.name_any() != *name),
            }
        }
        self.0.iter().map(|set| set.spec.replicas.unwrap().to_string()).collect::<Vec<_>>()
    }

    /// All pods that are asked for are there and available.
    fn settle(&mut self) {
        for set in &mut self.0 {
            let size = set.spec.replicas.unwrap();
            let status = json!({"replicas": size, "readyReplicas": size, "availableReplicas": size});
            set.status = Some(from_value(status).unwrap());
        }
    }
}

#[test]
fn a_rollout_makes_the_new_before_it_takes_the_old() {
    let mut world = World(Vec::new());
    assert_eq!(world.round(&deployment("web:1", json!({}))), ["2"]);
    world.settle();
    let newer = deployment("web:2", json!({}));
    assert_eq!(world.round(&newer), ["2", "1"], "one more than wanted, and none less");
    assert_eq!(world.round(&newer), ["2", "1"], "until the new one is available");
    world.settle();
    assert_eq!(world.round(&newer), ["1", "1"]);
    world.settle();
    assert_eq!(world.round(&newer), ["1", "2"]);
    world.settle();
    assert_eq!(world.round(&newer), ["0", "2"]);
    world.settle();
    let plan = rollout::plan(&newer, &world.0, now());
    assert_eq!(plan.actions, []);
    let condition = &plan.status.conditions.unwrap()[1];
    assert_eq!(condition.reason.as_deref(), Some("NewReplicaSetAvailable"));
    assert_eq!((plan.status.observed_generation, plan.status.updated_replicas), (Some(7), Some(2)));
}

#[test]
fn a_template_that_was_there_before_is_the_same_replica_set_again() {
    let mut world = World(Vec::new());
    let (old, newer) = (deployment("web:1", json!({"replicas": 1})), deployment("web:2", json!({"replicas": 1})));
    for deployment in [&old, &newer, &old] {
        for _ in 0..4 {
            world.round(deployment);
            world.settle();
        }
    }
    assert_eq!(world.round(&old), ["1", "0"]);
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let strategy = json!({"strategy": {"type": "Recreate"}});
    let mut world = World(Vec::new());
    world.round(&deployment("web:1", strategy.clone()));
    world.settle();
    let newer = deployment("web:2", strategy);
    assert_eq!(world.round(&newer), ["0"]);
    assert_eq!(world.round(&newer), ["0"], "they are still there");
    world.settle();
    assert_eq!(world.round(&newer), ["0", "2"]);
}

#[test]
fn old_replica_sets_beyond_the_limit_go() {
    let mut world = World(Vec::new());
    for image in ["web:1", "web:2", "web:3"] {
        let deployment = deployment(image, json!({"replicas": 1, "revisionHistoryLimit": 1}));
        for _ in 0..4 {
            world.round(&deployment);
            world.settle();
        }
    }
    assert_eq!(world.0.len(), 2);
}

fn pod(name: &str, ready: bool, second: u8) -> Pod {
    let status = if ready { "True" } else { "False" };
    from_value(json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": format!("2026-01-01T00:00:0{second}Z")},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:09Z"}]},
    }))
    .unwrap()
}

fn set(spec: Value) -> ReplicaSet {
    let mut whole = json!({"replicas": 2, "selector": {}, "template": {"metadata": {"labels": {"app": "web"}}}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let metadata = json!({"name": "web-x", "namespace": "shop", "uid": "s"});
    from_value(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": whole})).unwrap()
}

#[test]
fn missing_pods_are_made_and_surplus_ones_go_worst_first() {
    let plan = replicas::plan(&set(json!({})), &[pod("a", true, 1)], now());
    assert_eq!((plan.create.len(), plan.delete.len()), (1, 0));
    let made = &plan.create[0];
    assert_eq!((made.metadata.generate_name.as_deref(), made.labels()["app"].as_str()), (Some("web-x-"), "web"));
    let pods = [pod("old", true, 1), pod("sick", false, 0), pod("young", true, 3), pod("middle", true, 2)];
    let plan = replicas::plan(&set(json!({})), &pods, now());
    let names: Vec<_> = plan.delete.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["young", "sick"]);
}

#[test]
fn pods_that_end_or_are_over_do_not_count() {
    let (mut ending, mut over) = (pod("a", true, 1), pod("b", true, 1));
    ending.metadata.deletion_timestamp = Some(from_value(json!("2026-01-01T00:00:09Z")).unwrap());
    over.status.as_mut().unwrap().phase = Some("Failed".to_owned());
    let plan = replicas::plan(&set(json!({})), &[ending, over], now());
    assert_eq!((plan.create.len(), plan.status.replicas), (2, 0));
}

#[test]
fn a_pod_is_available_once_it_was_ready_for_long_enough() {
    let set = set(json!({"minReadySeconds": 5}));
    let plan = replicas::plan(&set, &[pod("a", true, 1)], now());
    assert_eq!((plan.status.ready_replicas, plan.status.available_replicas), (Some(1), Some(0)));
    assert_eq!(plan.next_available, Some("2026-01-01T00:00:14Z".parse().unwrap()));
}
