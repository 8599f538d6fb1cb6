//! The `/scale` subresource of kinds that have one.

use axum::body::Body;
use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::patch::Patch;
use super::target::Subresource;
use super::update::{Made, modify};
use super::{Call, body, json as answer};
use crate::errors::{ApiError, Cause};
use crate::object;
use crate::resources::ScalePaths;

pub(super) fn get(call: &Call) -> Result<Response, ApiError> {
    let paths = paths(call)?;
    let stored = call.core.store.get(&call.resource.key(&call.namespace, &call.name));
    let stored = stored.ok_or_else(|| ApiError::not_found(call.resource.subject(&call.name)))?;
    Ok(answer(StatusCode::OK, &scale_of(&stored, paths)))
}

pub(super) async fn write(call: &Call, body: Body) -> Result<Response, ApiError> {
    let paths = paths(call)?;
    let put = call.parts.method == Method::PUT;
    let given =
        if put { Patch::Merge(body::object(&call.parts, body).await?) } else { Patch::read(call, body).await? };
    let object = modify(call, Subresource::Scale, |old| {
        let scale = given.applied_to(&scale_of(old, paths))?;
        let wanted = object::at(&scale, &["spec", "replicas"]).cloned().unwrap_or_else(|| json!(0));
        if wanted.as_i64().is_none_or(|replicas| !(0..=i64::from(i32::MAX)).contains(&replicas)) {
            let cause = Cause::invalid("spec.replicas", &wanted.to_string(), "must be greater than or equal to 0");
            let subject = crate::errors::Subject {
                group: "autoscaling".to_owned(),
                kind: "Scale".to_owned(),
                name: call.name.clone(),
            };
            return Err(ApiError::invalid(subject, vec![cause]));
        }
        let mut object = old.clone();
        set(&mut object, &paths.spec_replicas, wanted);
        // A version that the client sent is its precondition.
        object::set_meta(&mut object, "resourceVersion", object::meta(&scale, "resourceVersion"));
        Ok(Made { object, managers: None })
    })?;
    Ok(answer(StatusCode::OK, &scale_of(&object, paths)))
}

fn paths(call: &Call) -> Result<&ScalePaths, ApiError> {
    call.resource.scale.as_ref().ok_or_else(ApiError::no_such_path)
}

fn scale_of(object: &Value, paths: &ScalePaths) -> Value {
    let at = |path: &[String]| path.iter().try_fold(object, |value, field| value.get(field));
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let mut status = json!({"replicas": at(&paths.status_replicas).cloned().unwrap_or_else(|| json!(0))});
    match paths.selector.as_deref().and_then(at) {
        Some(Value::String(selector)) => status["selector"] = selector.as_str().into(),
        Some(selector @ Value::Object(_)) => status["selector"] = selector_text(selector).into(),
        _ => {}
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": at(&paths.spec_replicas).cloned().unwrap_or_else(|| json!(0))},
        "status": status,
    })
}

/// A LabelSelector's `matchLabels` in the string form.
fn selector_text(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))).collect::<Vec<_>>().join(",")
}

fn set(object: &mut Value, path: &[String], value: Value) {
    let mut at = object;
    for field in path {
        at = object::as_map(at).entry(field.clone()).or_insert(Value::Null);
    }
    *at = value;
}
