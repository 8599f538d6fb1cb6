//! Discovery, OpenAPI and tables.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::custom::{WIDGETS, widget, with_widgets};
use crate::support::Api;

async fn get_as(api: &Api, path: &str, accept: &str) -> (String, Value) {
    let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
    let response = api.server.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (media_type, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn both_forms_of_discovery_name_the_same_kinds() {
    let api = with_widgets().await;
    let (_, versions) = api.get("/api").await;
    assert_eq!(versions["versions"], json!(["v1"]));
    let (_, groups) = api.get("/apis").await;
    let names: Vec<_> = groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"apps") && names.contains(&"x.io"), "{names:?}");
    let (_, list) = api.get("/apis/x.io/v1").await;
    let plural: Vec<_> = list["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(plural, ["widgets", "widgets/status", "widgets/scale"]);
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let (media_type, aggregated) = get_as(&api, "/apis", accept).await;
    assert!(media_type.contains("as=APIGroupDiscoveryList"), "{media_type}");
    let group = aggregated["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "x.io").unwrap();
    let resource = &group["versions"][0]["resources"][0];
    assert_eq!(
        (&resource["resource"], &resource["shortNames"], &resource["scope"]),
        (&json!("widgets"), &json!(["wd"]), &json!("Namespaced"))
    );
    let (_, version) = api.get("/version").await;
    assert_eq!(version["minor"], "37");
}

#[tokio::test]
async fn openapi_describes_custom_and_built_in_kinds() {
    let api = with_widgets().await;
    let (_, index) = api.get("/openapi/v3").await;
    let url = index["paths"]["apis/x.io/v1"]["serverRelativeURL"].as_str().unwrap();
    let (_, document) = api.get(url).await;
    let schema = &document["components"]["schemas"]["io.x.v1.Widget"];
    assert_eq!(
        schema["x-kubernetes-group-version-kind"],
        json!([{"group": "x.io", "version": "v1", "kind": "Widget"}])
    );
    assert_eq!(schema["properties"]["spec"]["properties"]["size"]["description"], "How large.");
    let path = &document["paths"]["/apis/x.io/v1/namespaces/{namespace}/widgets/{name}"];
    assert_eq!(path["patch"]["x-kubernetes-group-version-kind"]["kind"], "Widget");
    let (status, document) = api.get("/openapi/v3/apis/apps/v1").await;
    assert_eq!(status, StatusCode::OK);
    let schema = &document["components"]["schemas"]["io.k8s.api.apps.v1.StatefulSet"];
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "StatefulSet");
    assert_eq!(api.get("/openapi/v3/apis/none/v1").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tables_have_the_columns_of_their_kind() {
    let api = with_widgets().await;
    api.post(WIDGETS, &widget("w", json!({"size": 2}))).await;
    api.merge(
        &format!("{WIDGETS}/w/status"),
        &json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    )
    .await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let (_, table) = get_as(&api, WIDGETS, accept).await;
    let columns: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Name", "Size", "Ready", "Age"]);
    assert_eq!(table["rows"][0]["cells"], json!(["w", 2, "True", "0s"]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (_, table) = get_as(&api, "/api/v1/namespaces", accept).await;
    assert_eq!(table["rows"][0]["cells"], json!(["default", "Active", "0s"]));
}
