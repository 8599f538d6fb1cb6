//! Watches over the router: order, selection, bookmarks, compaction.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Api, CONFIG_MAPS, config_map};

struct Watch(Body);

impl Watch {
    async fn open(api: &Api, query: &str) -> Self {
        let uri = format!("{CONFIG_MAPS}?watch=true&{query}");
        let response = api.server.router().oneshot(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self(response.into_body())
    }

    /// The next event as (type, name, whole event); `None` at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        let frame = tokio::time::timeout(Duration::from_secs(10), self.0.frame()).await.expect("no event in time")?;
        let event: Value = serde_json::from_slice(&frame.unwrap().into_data().unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        Some((text(&event["type"]), text(&event["object"]["metadata"]["name"]), event))
    }

    async fn expect(&mut self, kind: &str, name: &str) -> Value {
        let (found_kind, found_name, event) = self.next().await.unwrap();
        assert_eq!((found_kind.as_str(), found_name.as_str()), (kind, name), "{event}");
        event["object"].clone()
    }
}

fn labelled(name: &str, tier: &str) -> Value {
    let mut object = config_map(name);
    object["metadata"]["labels"] = json!({"tier": tier});
    object
}

#[tokio::test]
async fn a_watch_from_a_list_sees_every_later_change_in_order() {
    let api = Api::new();
    api.post(CONFIG_MAPS, &config_map("before")).await;
    let (_, list) = api.get(CONFIG_MAPS).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = Watch::open(&api, &format!("resourceVersion={version}")).await;
    api.post(CONFIG_MAPS, &config_map("a")).await;
    api.merge(&format!("{CONFIG_MAPS}/a"), &json!({"data": {"k": "w"}})).await;
    api.delete(&format!("{CONFIG_MAPS}/a")).await;
    watch.expect("ADDED", "a").await;
    watch.expect("MODIFIED", "a").await;
    let gone = watch.expect("DELETED", "a").await;
    let version: u64 = version.parse().unwrap();
    assert_eq!(gone["metadata"]["resourceVersion"], (version + 3).to_string());
}

#[tokio::test]
async fn objects_enter_and_leave_a_selection() {
    let api = Api::new();
    let mut watch = Watch::open(&api, "labelSelector=tier%3Ddb").await;
    api.post(CONFIG_MAPS, &labelled("a", "web")).await;
    api.post(CONFIG_MAPS, &labelled("b", "db")).await;
    api.merge(&format!("{CONFIG_MAPS}/a"), &json!({"metadata": {"labels": {"tier": "db"}}})).await;
    api.merge(&format!("{CONFIG_MAPS}/b"), &json!({"metadata": {"labels": {"tier": "web"}}})).await;
    watch.expect("ADDED", "b").await;
    watch.expect("ADDED", "a").await;
    watch.expect("DELETED", "b").await;
}

#[tokio::test]
async fn a_streamed_list_ends_with_an_annotated_bookmark() {
    let api = Api::new();
    api.post(CONFIG_MAPS, &config_map("a")).await;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Watch::open(&api, query).await;
    watch.expect("ADDED", "a").await;
    let bookmark = watch.expect("BOOKMARK", "").await;
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!((&bookmark["kind"], &bookmark["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
    api.post(CONFIG_MAPS, &config_map("b")).await;
    watch.expect("ADDED", "b").await;
}

#[tokio::test]
async fn a_watch_of_forgotten_history_gets_410_and_ends() {
    let api = Api::new();
    let (_, list) = api.get(CONFIG_MAPS).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    for i in 0..1100 {
        let name = format!("n{i}");
        api.post(CONFIG_MAPS, &config_map(&name)).await;
        api.delete(&format!("{CONFIG_MAPS}/{name}")).await;
    }
    let mut watch = Watch::open(&api, &format!("resourceVersion={version}")).await;
    let (kind, _, event) = watch.next().await.unwrap();
    assert_eq!(
        (kind.as_str(), &event["object"]["code"], &event["object"]["reason"]),
        ("ERROR", &json!(410), &json!("Expired"))
    );
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout_and_with_the_server() {
    let api = Api::new();
    let mut watch = Watch::open(&api, "timeoutSeconds=0").await;
    assert!(watch.next().await.is_none());
    let mut watch = Watch::open(&api, "").await;
    drop(api);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watched_table_has_rows() {
    let api = Api::new();
    api.post(CONFIG_MAPS, &config_map("a")).await;
    let request = Request::get(format!("{CONFIG_MAPS}?watch=true"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
        .body(Body::empty());
    let response = api.server.router().oneshot(request.unwrap()).await.unwrap();
    let (kind, _, event) = Watch(response.into_body()).next().await.unwrap();
    assert_eq!((kind.as_str(), &event["object"]["kind"]), ("ADDED", &json!("Table")));
    assert_eq!(event["object"]["rows"][0]["cells"], json!(["a", "1", "0s"]));
}
