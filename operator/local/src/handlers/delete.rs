//! `DELETE` of one object or of a selection.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, delete_options, json as answer, list};
use crate::deletion::{self, Deleted};
use crate::errors::ApiError;
use crate::object;

pub(super) async fn one(call: &Call, body: Body) -> Result<Response, ApiError> {
    let (options, dry_run) = delete_options::read(call, body).await?;
    if dry_run {
        return super::fetch::get(call);
    }
    match deletion::delete(&call.core, &call.resource, &call.namespace, &call.name, &options)? {
        Deleted::Removed(removed) if removed["metadata"].get("deletionTimestamp").is_none() => {
            Ok(answer(StatusCode::OK, &success(call, &removed)))
        }
        Deleted::Removed(object) | Deleted::Terminating(object) => {
            let object = call.resource.present(&object);
            Ok(answer(StatusCode::OK, &call.output.object(&call.resource, object)))
        }
    }
}

pub(super) async fn collection(call: &Call, body: Body) -> Result<Response, ApiError> {
    if call.resource.namespaced && call.namespace.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    let (options, dry_run) = delete_options::read(call, body).await?;
    let selector = list::selector(call)?;
    let namespace = (!call.namespace.is_empty()).then_some(call.namespace.as_str());
    let (stored, version) = call.core.store.list(&call.resource.storage, namespace);
    let objects = stored.iter().map(|object| call.resource.view(object));
    let chosen: Vec<Cow<'_, Value>> = objects.filter(|object| selector.matches(object)).collect();
    for object in chosen.iter().filter(|_| !dry_run) {
        let (namespace, name) = (object::namespace(object), object::name(object));
        match deletion::delete(&call.core, &call.resource, namespace, name, &options) {
            Err(error) if error.code != 404 => return Err(error),
            _ => {}
        }
    }
    Ok(answer(
        StatusCode::OK,
        &call.output.list(&call.resource, chosen, json!({"resourceVersion": version.to_string()})),
    ))
}

fn success(call: &Call, removed: &Value) -> Value {
    let mut details = json!({"name": call.name, "kind": call.resource.plural, "uid": object::uid(removed)});
    if !call.resource.group.is_empty() {
        details["group"] = call.resource.group.as_str().into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
