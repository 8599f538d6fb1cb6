use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, from_value, json};

use super::build;
use super::plan::{Action, plan};
use super::revision::revision;

fn set(spec: Value) -> StatefulSet {
    let mut whole = json!({
        "replicas": 3, "podManagementPolicy": "Parallel", "updateStrategy": {"type": "OnDelete"}, "serviceName": "web-pods",
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}, "annotations": {"note": "x"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let metadata = json!({"name": "web", "namespace": "shop", "uid": "set-uid", "generation": 4});
    from_value(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": whole})).unwrap()
}

fn pod(set: &StatefulSet, ordinal: i32, ready: bool) -> Pod {
    let mut pod = build::pod(set, ordinal, &revision(set));
    pod.metadata.uid = Some(format!("pod-{ordinal}"));
    let condition = json!({"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    pod.status = Some(from_value(json!({"phase": "Running", "conditions": [condition]})).unwrap());
    pod
}

fn claim(name: &str) -> PersistentVolumeClaim {
    from_value(json!({"metadata": {"name": name, "namespace": "shop"}})).unwrap()
}

fn now() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

fn told(actions: &[Action]) -> Vec<String> {
    let one = |action: &Action| match action {
        Action::CreateClaim(claim) => format!("create claim {}", claim.name_any()),
        Action::CreatePod(pod) => format!("create pod {}", pod.name_any()),
        Action::DeletePod { name, .. } => format!("delete pod {name}"),
        Action::OwnClaim { name, owners } => {
            format!("own claim {name} by {:?}", owners.iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>())
        }
    };
    actions.iter().map(one).collect()
}

fn planned(set: &StatefulSet, pods: &[Pod], claims: &[PersistentVolumeClaim]) -> Vec<String> {
    told(&plan(set, pods, claims, now()).actions)
}

#[test]
fn a_pod_carries_the_names_labels_and_claims_of_its_ordinal() {
    let set = set(json!({}));
    let pod = build::pod(&set, 2, "web-abc");
    let labels: Vec<_> = pod.labels().iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        labels,
        [
            "app=web",
            "apps.kubernetes.io/pod-index=2",
            "controller-revision-hash=web-abc",
            "statefulset.kubernetes.io/pod-name=web-2"
        ]
    );
    assert_eq!(pod.annotations()["note"], "x");
    let owner = &pod.owner_references()[0];
    assert_eq!((owner.kind.as_str(), owner.uid.as_str(), owner.controller), ("StatefulSet", "set-uid", Some(true)));
    let spec = pod.spec.unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("web-2"), Some("web-pods")));
    let volume = &spec.volumes.unwrap()[0];
    assert_eq!(volume.persistent_volume_claim.as_ref().unwrap().claim_name, "data-web-2");
    assert_eq!(build::claim_ordinal(&set, "data-web-2"), Some(2));
    for name in ["web-02", "web-x", "web", "other-1", "web-1-1"] {
        assert_eq!(build::ordinal(&set, name), None, "{name}");
    }
}

#[test]
fn parallel_makes_all_missing_pods_with_their_claims_at_once() {
    let set = set(json!({}));
    assert_eq!(
        planned(&set, &[pod(&set, 1, false)], &[claim("data-web-1"), claim("data-web-2")]),
        ["create claim data-web-0", "create pod web-0", "create pod web-2"]
    );
}

#[test]
fn ordered_ready_waits_for_each_pod_in_turn() {
    let set = set(json!({"podManagementPolicy": "OrderedReady", "volumeClaimTemplates": []}));
    assert_eq!(planned(&set, &[], &[]), ["create pod web-0"]);
    assert_eq!(planned(&set, &[pod(&set, 0, false)], &[]), [""; 0]);
    assert_eq!(planned(&set, &[pod(&set, 0, true)], &[]), ["create pod web-1"]);
}

#[test]
fn scaling_down_deletes_from_the_highest_ordinal() {
    let set = set(json!({"replicas": 1, "volumeClaimTemplates": []}));
    let pods: Vec<_> = (0..3).map(|ordinal| pod(&set, ordinal, true)).collect();
    assert_eq!(planned(&set, &pods, &[]), ["delete pod web-2", "delete pod web-1"]);
    let mut ordered = set.clone();
    ordered.spec.pod_management_policy = None;
    assert_eq!(planned(&ordered, &pods, &[]), ["delete pod web-2"]);
}

#[test]
fn a_pod_that_is_over_is_deleted_and_then_made_again_once_it_is_gone() {
    let set = set(json!({"replicas": 1, "volumeClaimTemplates": []}));
    let mut failed = pod(&set, 0, false);
    failed.status.as_mut().unwrap().phase = Some("Failed".to_owned());
    assert_eq!(planned(&set, &[failed.clone()], &[]), ["delete pod web-0"]);
    failed.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    assert_eq!(planned(&set, &[failed], &[]), [""; 0]);
    assert_eq!(planned(&set, &[], &[]), ["create pod web-0"]);
}

#[test]
fn a_pod_is_not_made_on_a_claim_that_is_going() {
    let set = set(json!({"replicas": 1}));
    let mut going = claim("data-web-0");
    going.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    assert_eq!(planned(&set, &[], &[going]), [""; 0]);
}

#[test]
fn claims_are_owned_as_the_retention_policy_says() {
    let policy = |deleted: &str, scaled: &str| {
        set(
            json!({"replicas": 1, "persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}),
        )
    };
    let claims = [claim("data-web-0"), claim("data-web-1")];
    let owned = |set: &StatefulSet| {
        let pods = [pod(set, 0, true), pod(set, 1, true)];
        planned(set, &pods, &claims).into_iter().filter(|action| action.starts_with("own")).collect::<Vec<_>>()
    };
    assert_eq!(owned(&policy("Retain", "Retain")), [""; 0]);
    assert_eq!(
        owned(&policy("Delete", "Retain")),
        [r#"own claim data-web-0 by ["web"]"#, r#"own claim data-web-1 by ["web"]"#]
    );
    assert_eq!(owned(&policy("Retain", "Delete")), [r#"own claim data-web-1 by ["web-1"]"#]);
    assert_eq!(
        owned(&policy("Delete", "Delete")),
        [r#"own claim data-web-0 by ["web"]"#, r#"own claim data-web-1 by ["web-1"]"#]
    );
}

#[test]
fn on_delete_leaves_old_pods_and_a_rolling_update_takes_the_highest_first() {
    let old = set(json!({"volumeClaimTemplates": []}));
    let pods: Vec<_> = (0..3).map(|ordinal| pod(&old, ordinal, true)).collect();
    let mut new = set(json!({"volumeClaimTemplates": []}));
    new.spec.template.spec.as_mut().unwrap().containers[0].image = Some("web:2".to_owned());
    assert_eq!(planned(&new, &pods, &[]), [""; 0]);
    new.spec.update_strategy.as_mut().unwrap().type_ = Some("RollingUpdate".to_owned());
    assert_eq!(planned(&new, &pods, &[]), ["delete pod web-2"]);
    let mut halfway = pods.clone();
    halfway[2] = pod(&new, 2, false);
    assert_eq!(planned(&new, &halfway, &[]), [""; 0], "waits for the new pod");
    halfway[2] = pod(&new, 2, true);
    assert_eq!(planned(&new, &halfway, &[]), ["delete pod web-1"]);
}

#[test]
fn the_status_counts_ready_available_and_updated_pods() {
    let old = set(json!({"minReadySeconds": 15}));
    let pods = [pod(&old, 0, true), pod(&old, 1, false)];
    let mut new = old.clone();
    new.status = Some(from_value(json!({"replicas": 2, "currentRevision": revision(&old)})).unwrap());
    new.spec.template.spec.as_mut().unwrap().containers[0].image = Some("web:2".to_owned());
    let plan = plan(&new, &pods, &[], now());
    let status = plan.status;
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas), (2, Some(1), Some(0)));
    assert_eq!((status.current_replicas, status.updated_replicas), (Some(2), Some(0)));
    assert_eq!((status.current_revision, status.update_revision), (Some(revision(&old)), Some(revision(&new))));
    assert_eq!(status.observed_generation, Some(4));
    assert_eq!(plan.next_available, Some("2026-01-01T00:00:15Z".parse().unwrap()));
}

#[test]
fn a_pod_that_nobody_controls_is_taken_over_if_it_is_one_of_the_sets_names_and_labels() {
    let set = set(json!({}));
    let orphan = |change: &dyn Fn(&mut Pod)| {
        let mut pod = pod(&set, 1, true);
        pod.metadata.owner_references = None;
        change(&mut pod);
        build::is_adoptable(&set, &pod)
    };
    assert!(orphan(&|_| {}));
    assert!(!orphan(&|pod| pod.metadata.owner_references = Some(set.controller_owner_ref(&()).into_iter().collect())));
    assert!(!orphan(&|pod| pod.metadata.name = Some("web-x".to_owned())));
    assert!(!orphan(&|pod| pod.metadata.labels = None));
    let ending = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now());
    assert!(!orphan(&|pod| pod.metadata.deletion_timestamp = Some(ending.clone())));
}
