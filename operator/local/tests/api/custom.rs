//! Custom resources: definitions, pruning, defaults, validation and rules.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::Api;

pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const WIDGETS: &str = "/apis/x.io/v1/namespaces/default/widgets";

pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.x.io"},
        "spec": {
            "group": "x.io", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector"}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                    "spec": {
                        "type": "object", "required": ["size"], "description": "What the widget should be.",
                        "x-kubernetes-validations": [
                            {"rule": "!has(self.parts) || size(self.parts) <= self.size", "message": "a widget has at most size parts"},
                            {"rule": "self.size >= oldSelf.size", "message": "size can only grow", "fieldPath": ".size"}],
                        "properties": {
                            "size": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How large."},
                            "mode": {"type": "string", "enum": ["Fast", "Slow"], "default": "Fast"},
                            "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5,
                                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "name is immutable"}]},
                            "config": {"type": "object", "additionalProperties": {"x-kubernetes-int-or-string": true}},
                            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                            "nested": {"type": "object", "default": {}, "properties": {"deep": {"type": "string", "default": "d"}}},
                            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                                "items": {"type": "object", "required": ["name"], "properties": {
                                    "name": {"type": "string"}, "port": {"type": "integer", "format": "int32"}}}}}},
                    "status": {"type": "object", "properties": {
                        "size": {"type": "integer"}, "selector": {"type": "string"},
                        "conditions": {"type": "array", "items": {"type": "object", "properties": {
                            "type": {"type": "string"}, "status": {"type": "string"}}}}}}}}}}]}})
}

pub async fn with_widgets() -> Api {
    let api = Api::new();
    let (status, body) = api.post(DEFINITIONS, &definition()).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    api
}

pub fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// The (field, message) of each cause of a refusal.
fn causes(body: &Value) -> Vec<(&str, &str)> {
    let causes = body["details"]["causes"].as_array().unwrap_or_else(|| panic!("{body}"));
    causes.iter().map(|c| (c["field"].as_str().unwrap(), c["message"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_definition_is_established_and_served_at_once() {
    let api = with_widgets().await;
    let (_, definition) = api.get(&format!("{DEFINITIONS}/widgets.x.io")).await;
    let conditions = definition["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True"));
    assert_eq!(definition["spec"]["names"]["listKind"], "WidgetList");
    let (status, list) = api.get(WIDGETS).await;
    assert_eq!((status, &list["kind"]), (StatusCode::OK, &json!("WidgetList")));
}

#[tokio::test]
async fn unknown_fields_are_pruned_and_defaults_set() {
    let api = with_widgets().await;
    let spec = json!({"size": 1, "unknown": 2, "free": {"anything": [1]}, "config": {"a.b": 1, "c": "d"}});
    let (status, created) = api.post(WIDGETS, &widget("w", spec.clone())).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let expected = json!({"size": 1, "mode": "Fast", "free": {"anything": [1]}, "config": {"a.b": 1, "c": "d"}, "nested": {"deep": "d"}});
    assert_eq!(created["spec"], expected);
    let (status, error) = api.post(&format!("{WIDGETS}?fieldValidation=Strict"), &widget("v", spec)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with("strict decoding error: unknown field \"spec.unknown\""), "{message}");
}

#[tokio::test]
async fn every_violation_of_the_schema_is_named() {
    let api = with_widgets().await;
    let spec =
        json!({"size": 0, "mode": "Odd", "name": "Toolong", "parts": [{"name": "a"}, {"name": "a"}, {"port": "x"}]});
    let (status, error) = api.post(WIDGETS, &widget("w", spec)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(error["details"]["kind"], "Widget");
    let mut found = causes(&error);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("spec.mode", "Unsupported value: \"Odd\": supported values: \"Fast\", \"Slow\""),
            ("spec.name", "Invalid value: \"Toolong\": spec.name in body should match '^[a-z]+$'"),
            ("spec.name", "Too long: may not be more than 5 bytes"),
            ("spec.parts[1]", "Duplicate value: {\"name\":\"a\"}"),
            ("spec.parts[2].name", "Required value"),
            (
                "spec.parts[2].port",
                "Invalid value: \"string\": spec.parts[2].port in body must be of type integer: \"string\""
            ),
            ("spec.size", "Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ]
    );
    let (_, error) = api.post(WIDGETS, &json!({"metadata": {"name": "w"}})).await;
    assert_eq!(causes(&error), [("spec", "Required value")]);
    assert_eq!(error["message"], "Widget.x.io \"w\" is invalid: spec: Required value");
}

#[tokio::test]
async fn rules_hold_on_create_and_transition_rules_on_update() {
    let api = with_widgets().await;
    let parts = json!({"size": 1, "parts": [{"name": "a"}, {"name": "b"}]});
    let (_, error) = api.post(WIDGETS, &widget("w", parts)).await;
    assert_eq!(causes(&error), [("spec", "Invalid value: a widget has at most size parts")]);
    let (status, _) = api.post(WIDGETS, &widget("w", json!({"size": 3, "name": "abc"}))).await;
    assert_eq!(status, StatusCode::CREATED);
    let path = format!("{WIDGETS}/w");
    let (_, error) = api.merge(&path, &json!({"spec": {"size": 2, "name": "abd"}})).await;
    assert_eq!(
        causes(&error),
        [
            ("spec.size", "Invalid value: size can only grow"),
            ("spec.name", "Invalid value: \"abd\": name is immutable"),
        ]
    );
    let (status, grown) = api.merge(&path, &json!({"spec": {"size": 4}})).await;
    assert_eq!((status, &grown["metadata"]["generation"]), (StatusCode::OK, &json!(2)));
    let (status, same) =
        api.merge(&format!("{path}/status"), &json!({"spec": {"size": 9}, "status": {"size": 4}})).await;
    assert_eq!(
        (status, &same["spec"]["size"], &same["metadata"]["generation"]),
        (StatusCode::OK, &json!(4), &json!(2))
    );
    let (status, scale) = api.merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 12}})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{scale}");
    let (status, scale) = api.merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 5}})).await;
    assert_eq!(
        (status, &scale["spec"]["replicas"], &scale["status"]["replicas"]),
        (StatusCode::OK, &json!(5), &json!(4))
    );
}

#[tokio::test]
async fn a_definition_that_is_not_structural_is_refused() {
    let api = Api::new();
    let mut bad = definition();
    let schema = &mut bad["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    schema["properties"]["size"] = json!({"minimum": 1});
    schema["x-kubernetes-validations"] = json!([{"rule": "self.size >"}]);
    let (status, error) = api.post(DEFINITIONS, &bad).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields: Vec<_> = causes(&error).into_iter().map(|(field, _)| field).collect();
    let root = "spec.versions[0].schema.openAPIV3Schema.properties[spec]";
    assert_eq!(fields, [format!("{root}.x-kubernetes-validations[0].rule"), format!("{root}.properties[size].type")]);
    bad["metadata"]["name"] = "other.x.io".into();
    let (_, error) = api.post(DEFINITIONS, &bad).await;
    assert_eq!(causes(&error)[0].0, "metadata.name");
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let api = with_widgets().await;
    api.post(WIDGETS, &widget("w", json!({"size": 1}))).await;
    api.delete(&format!("{DEFINITIONS}/widgets.x.io")).await;
    api.eventually(&format!("{DEFINITIONS}/widgets.x.io"), StatusCode::NOT_FOUND).await;
    assert_eq!(api.get(WIDGETS).await.0, StatusCode::NOT_FOUND);
    api.post(DEFINITIONS, &definition()).await;
    let (_, list) = api.get(WIDGETS).await;
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn fields_of_custom_resources_are_owned_by_their_appliers() {
    let api = with_widgets().await;
    let path = format!("{WIDGETS}/w");
    let config = |spec: Value| json!({"apiVersion": "x.io/v1", "kind": "Widget", "spec": spec});
    let (status, body) =
        api.apply(&path, "one", &config(json!({"size": 5, "name": "abc", "parts": [{"name": "a"}]}))).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let (status, body) =
        api.apply(&path, "two", &config(json!({"size": 5, "parts": [{"name": "b", "port": 1}]}))).await;
    assert_eq!((status, &body["spec"]["parts"]), (StatusCode::OK, &json!([{"name": "a"}, {"name": "b", "port": 1}])));
    let (status, error) = api.apply(&path, "two", &config(json!({"size": 6}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(causes(&error), [(".spec.size", "conflict with \"one\"")]);
    let (status, body) = api.apply(&format!("{path}?force=true"), "two", &config(json!({"size": 6}))).await;
    assert_eq!(
        (status, &body["spec"]["size"], &body["spec"]["parts"]),
        (StatusCode::OK, &json!(6), &json!([{"name": "a"}]))
    );
    let (_, again) = api.apply(&format!("{path}?force=true"), "two", &config(json!({"size": 6}))).await;
    assert_eq!(again, body, "the same apply writes nothing");
    let status_config = json!({"apiVersion": "x.io/v1", "kind": "Widget", "status": {"size": 6}});
    let (status, body) = api.apply(&format!("{path}/status"), "ctl", &status_config).await;
    assert_eq!((status, &body["status"], &body["spec"]["size"]), (StatusCode::OK, &json!({"size": 6}), &json!(6)));
    let owners = body["metadata"]["managedFields"].as_array().unwrap();
    let of_status = owners.iter().find(|entry| entry["manager"] == "ctl").unwrap();
    assert_eq!(
        (&of_status["subresource"], &of_status["fieldsV1"]),
        (&json!("status"), &json!({"f:status": {"f:size": {}}}))
    );
    let (status, _) = api.send(http::Method::PATCH, &path, "application/apply-patch+yaml", &config(json!({}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "an applier has a name");
}
