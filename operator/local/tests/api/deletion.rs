//! Finalizers, graceful deletion, owner references and namespaces.

use crate::support::{Api, CONFIG_MAPS, config_map};
use http::StatusCode;
use serde_json::{Value, json};

async fn created(api: &Api, mut object: Value, owners: Value) -> String {
    object["metadata"]["ownerReferences"] = owners;
    let (status, object) = api.post(CONFIG_MAPS, &object).await;
    assert_eq!(status, StatusCode::CREATED, "{object}");
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn owner(name: &str, uid: &str, blocks: bool) -> Value {
    json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "blockOwnerDeletion": blocks}])
}

#[tokio::test]
async fn finalizers_keep_a_deleted_object_until_the_last_is_gone() {
    let api = Api::new();
    let mut object = config_map("a");
    object["metadata"]["finalizers"] = json!(["x.io/one"]);
    api.post(CONFIG_MAPS, &object).await;
    let path = format!("{CONFIG_MAPS}/a");
    let (status, going) = api.delete(&path).await;
    assert_eq!(status, StatusCode::OK);
    assert!(going["metadata"]["deletionTimestamp"].is_string(), "{going}");
    let (status, error) = api.merge(&path, &json!({"metadata": {"finalizers": ["x.io/one", "x.io/two"]}})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{error}");
    assert_eq!(api.merge(&path, &json!({"metadata": {"finalizers": null}})).await.0, StatusCode::OK);
    assert_eq!(api.get(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dependents_follow_their_owner() {
    let api = Api::new();
    let uid = created(&api, config_map("owner"), json!([])).await;
    let child = created(&api, config_map("child"), owner("owner", &uid, false)).await;
    created(&api, config_map("grandchild"), owner("child", &child, false)).await;
    api.delete(&format!("{CONFIG_MAPS}/owner")).await;
    api.eventually(&format!("{CONFIG_MAPS}/grandchild"), StatusCode::NOT_FOUND).await;
    assert_eq!(api.get(&format!("{CONFIG_MAPS}/child")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn foreground_deletion_waits_for_the_dependents() {
    let api = Api::new();
    let uid = created(&api, config_map("owner"), json!([])).await;
    let mut child = config_map("child");
    child["metadata"]["finalizers"] = json!(["x.io/hold"]);
    created(&api, child, owner("owner", &uid, true)).await;
    let (status, going) = api.delete(&format!("{CONFIG_MAPS}/owner?propagationPolicy=Foreground")).await;
    assert_eq!((status, &going["metadata"]["finalizers"]), (StatusCode::OK, &json!(["foregroundDeletion"])));
    let child = format!("{CONFIG_MAPS}/child");
    loop {
        let (_, object) = api.get(&child).await;
        if object["metadata"]["deletionTimestamp"].is_string() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(api.get(&format!("{CONFIG_MAPS}/owner")).await.0, StatusCode::OK);
    // The child's own foreground finalizer goes by itself, the other one by hand.
    api.send(
        http::Method::PATCH,
        &child,
        "application/json-patch+json",
        &json!([{"op": "remove", "path": "/metadata/finalizers/0"}]),
    )
    .await;
    api.eventually(&format!("{CONFIG_MAPS}/owner"), StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn orphans_stay_and_lose_their_owner() {
    let api = Api::new();
    let uid = created(&api, config_map("owner"), json!([])).await;
    created(&api, config_map("child"), owner("owner", &uid, true)).await;
    api.delete(&format!("{CONFIG_MAPS}/owner?propagationPolicy=Orphan")).await;
    api.eventually(&format!("{CONFIG_MAPS}/owner"), StatusCode::NOT_FOUND).await;
    let (_, child) = api.get(&format!("{CONFIG_MAPS}/child")).await;
    assert_eq!(child["metadata"].get("ownerReferences").filter(|o| *o != &json!([])), None);
}

#[tokio::test]
async fn preconditions_guard_a_deletion() {
    let api = Api::new();
    api.post(CONFIG_MAPS, &config_map("a")).await;
    let path = format!("{CONFIG_MAPS}/a");
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "another"}});
    let (status, error) = api.send(http::Method::DELETE, &path, "application/json", &options).await;
    assert_eq!((status, &error["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
    assert_eq!(api.get(&path).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_pod_on_a_node_is_left_to_its_kubelet() {
    let api = Api::new();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, node: Value| json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}});
    api.post(pods, &pod("placed", json!("n"))).await;
    let (_, going) = api.delete(&format!("{pods}/placed")).await;
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30, "{going}");
    assert_eq!(api.delete(&format!("{pods}/placed?gracePeriodSeconds=0")).await.0, StatusCode::OK);
    assert_eq!(api.get(&format!("{pods}/placed")).await.0, StatusCode::NOT_FOUND);
    let (_, unplaced) = api.post(pods, &pod("unplaced", json!(null))).await;
    assert_eq!(unplaced["status"]["phase"], "Pending");
    assert_eq!(api.delete(&format!("{pods}/unplaced")).await.0, StatusCode::OK);
    assert_eq!(api.get(&format!("{pods}/unplaced")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_deleted_namespace_takes_its_objects_along() {
    let api = Api::new();
    api.post("/api/v1/namespaces", &json!({"metadata": {"name": "n"}, "spec": {}})).await;
    let maps = "/api/v1/namespaces/n/configmaps";
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["x.io/hold"]);
    api.post(maps, &held).await;
    api.post(maps, &config_map("free")).await;
    let (_, going) = api.delete("/api/v1/namespaces/n").await;
    assert_eq!(going["status"]["phase"], "Terminating");
    api.eventually(&format!("{maps}/free"), StatusCode::NOT_FOUND).await;
    let (status, error) = api.post(maps, &config_map("late")).await;
    assert_eq!((status, &error["reason"]), (StatusCode::FORBIDDEN, &json!("Forbidden")));
    api.merge(&format!("{maps}/held"), &json!({"metadata": {"finalizers": []}})).await;
    api.eventually("/api/v1/namespaces/n", StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_selection_is_deleted_at_once() {
    let api = Api::new();
    for name in ["a", "b"] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"name": name});
        api.post(CONFIG_MAPS, &object).await;
    }
    let (status, list) = api.delete(&format!("{CONFIG_MAPS}?labelSelector=name%3Da")).await;
    assert_eq!((status, list["items"].as_array().unwrap().len()), (StatusCode::OK, 1));
    let (_, left) = api.get(CONFIG_MAPS).await;
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}
