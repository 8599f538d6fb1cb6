//! Evictions through the API: what the budget allows, and no more.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::Api;

const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

async fn with_pods(names: &[&str]) -> Api {
    let api = Api::new();
    for name in names {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "web:1"}]},
        });
        assert_eq!(api.post(PODS, &pod).await.0, StatusCode::CREATED);
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        api.merge(&format!("{PODS}/{name}/status"), &json!({"status": ready})).await;
    }
    api
}

/// A budget as its controller would have judged it.
async fn budget(api: &Api, name: &str, allowed: i32) {
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    });
    api.post(BUDGETS, &budget).await;
    let status = json!({
        "observedGeneration": 1, "currentHealthy": 2, "desiredHealthy": 2 - allowed, "expectedPods": 2,
        "disruptionsAllowed": allowed,
    });
    api.merge(&format!("{BUDGETS}/{name}/status"), &json!({"status": status})).await;
}

async fn evict(api: &Api, name: &str) -> (StatusCode, Value) {
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    api.post(&format!("{PODS}/{name}/eviction"), &eviction).await
}

#[tokio::test]
async fn the_last_disruption_is_given_to_one_pod_only() {
    let api = with_pods(&["a", "b"]).await;
    budget(&api, "web", 1).await;
    assert_eq!(evict(&api, "a").await.0, StatusCode::CREATED);
    assert_eq!(api.get(&format!("{PODS}/a")).await.0, StatusCode::NOT_FOUND);
    let (_, counted) = api.get(&format!("{BUDGETS}/web")).await;
    assert_eq!(counted["status"]["disruptionsAllowed"], 0);
    assert!(counted["status"]["disruptedPods"]["a"].is_string(), "{counted}");
    let (status, refused) = evict(&api, "b").await;
    assert_eq!((status, &refused["reason"]), (StatusCode::TOO_MANY_REQUESTS, &json!("TooManyRequests")));
    assert_eq!(refused["details"]["causes"][0]["reason"], "DisruptionBudget");
    assert_eq!(api.get(&format!("{PODS}/b")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_pod_without_a_budget_goes_and_one_with_two_is_refused() {
    let api = with_pods(&["a", "b"]).await;
    assert_eq!(evict(&api, "a").await.0, StatusCode::CREATED);
    budget(&api, "one", 1).await;
    budget(&api, "two", 1).await;
    assert_eq!(evict(&api, "b").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(evict(&api, "missing").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_dry_run_takes_nothing() {
    let api = with_pods(&["a"]).await;
    budget(&api, "web", 1).await;
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}, "deleteOptions": {"dryRun": ["All"]},
    });
    let (status, _) = api.post(&format!("{PODS}/a/eviction"), &eviction).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(api.get(&format!("{PODS}/a")).await.0, StatusCode::OK);
    let (_, untouched) = api.get(&format!("{BUDGETS}/web")).await;
    assert_eq!(untouched["status"]["disruptionsAllowed"], 1);
}

#[tokio::test]
async fn discovery_names_the_eviction_as_kubectl_looks_for_it() {
    let api = Api::new();
    let (_, list) = api.get("/api/v1").await;
    let resources = list["resources"].as_array().unwrap();
    let eviction = resources.iter().find(|resource| resource["name"] == "pods/eviction").unwrap();
    assert_eq!((&eviction["kind"], &eviction["group"]), (&json!("Eviction"), &json!("policy")));
    assert_eq!(eviction["verbs"], json!(["create"]));
}
