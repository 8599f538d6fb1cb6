//! `PATCH` in its four formats.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::target::Subresource;
use super::update::{Made, modify};
use super::{Call, admit, body, create, json as answer, strict};
use crate::errors::ApiError;
use crate::fields::{self, Operation, Shape};
use crate::object;
use crate::patch as formats;
use crate::schema::prune;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A decoded patch.
pub(super) enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

impl Patch {
    pub async fn read(call: &Call, body: Body) -> Result<Self, ApiError> {
        let media_type = body::media_type(&call.parts).to_owned();
        let builtin = call.resource.custom.is_none();
        let patch: fn(Value) -> Self = match media_type.as_str() {
            JSON => Self::Json,
            MERGE => Self::Merge,
            STRATEGIC if builtin => Self::Strategic,
            APPLY => Self::Apply,
            other => {
                let strategic = if builtin { format!(", {STRATEGIC}") } else { String::new() };
                return Err(ApiError::unsupported_media_type(other, &format!("{JSON}, {MERGE}, {APPLY}{strategic}")));
            }
        };
        let bytes = body::read(body).await?;
        let value = if media_type == APPLY { body::from_yaml(&bytes)? } else { body::from_json(&bytes)? };
        Ok(patch(value))
    }

    /// The document after the patch; not for apply, which needs owners.
    pub fn applied_to(&self, document: &Value) -> Result<Value, ApiError> {
        let mut document = document.clone();
        match self {
            Self::Json(patch) => formats::json::apply(&mut document, patch.clone())?,
            Self::Merge(patch) | Self::Apply(patch) => formats::merge::apply(&mut document, patch)?,
            Self::Strategic(patch) => formats::strategic::apply(&mut document, patch)?,
        }
        if document.is_object() { Ok(document) } else { Err(ApiError::bad_request("the patch leaves no object")) }
    }
}

pub(super) async fn patch(call: &Call, part: Subresource, body: Body) -> Result<Response, ApiError> {
    if part == Subresource::Status && !call.resource.status {
        return Err(ApiError::no_such_path());
    }
    match Patch::read(call, body).await? {
        Patch::Apply(config) => apply(call, part, config),
        patch => {
            let object = modify(call, part, |old| Ok(Made { object: patch.applied_to(old)?, managers: None }))?;
            Ok(answer(StatusCode::OK, &call.output.object(&call.resource, object)))
        }
    }
}

fn apply(call: &Call, part: Subresource, mut config: Value) -> Result<Response, ApiError> {
    check_config(call, part, &mut config)?;
    let subresource = if part == Subresource::Status { "status" } else { "" };
    let writer = admit::writer(call, Operation::Apply, subresource);
    let shape = Shape::of(&call.resource);
    let key = call.resource.key(&call.namespace, &call.name);
    loop {
        if call.core.store.get(&key).is_none() {
            if part == Subresource::Status || !object::uid(&config).is_empty() {
                return Err(ApiError::not_found(call.resource.subject(&call.name)));
            }
            match create_applied(call, &config, &writer) {
                // Someone else created it meanwhile: apply on top.
                Err(error) if error.reason == "AlreadyExists" && !call.params.dry_run => continue,
                outcome => return create::answer_with(call, outcome?),
            }
        }
        let applied = modify(call, part, |old| {
            let (object, managers) = fields::apply::apply(old, &config, shape, &writer, call.params.force)?;
            Ok(Made { object, managers: Some(managers) })
        });
        match applied {
            // Deleted meanwhile: create it.
            Err(error) if error.reason == "NotFound" && part != Subresource::Status => {}
            outcome => return Ok(answer(StatusCode::OK, &call.output.object(&call.resource, outcome?))),
        }
    }
}

/// An applied configuration names what it is, and has no owners of its own.
fn check_config(call: &Call, part: Subresource, config: &mut Value) -> Result<(), ApiError> {
    if !config.is_object() {
        return Err(ApiError::bad_request("an applied configuration is an object"));
    }
    for field in ["apiVersion", "kind"] {
        if config.get(field).and_then(Value::as_str).unwrap_or("").is_empty() {
            return Err(ApiError::bad_request(format!("invalid object type: {field} is not set")));
        }
    }
    if call.params.field_manager.is_empty() {
        return Err(ApiError::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    if object::at(config, &["metadata", "managedFields"]).is_some_and(|f| !f.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    if call.resource.status && part == Subresource::None {
        object::as_map(config).remove("status");
    }
    if part == Subresource::Status {
        object::as_map(config)
            .retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        object::meta_mut(config)
            .retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "uid" | "resourceVersion"));
    }
    if let Some(custom) = &call.resource.custom {
        let pruned = prune::prune(config, &custom.schema);
        strict::check(call.params.field_validation, &pruned)?;
    }
    object::set_meta(config, "name", &call.name);
    Ok(())
}

fn create_applied(call: &Call, config: &Value, writer: &fields::Writer) -> Result<Value, ApiError> {
    create::check_namespace(call)?;
    let empty = json!({"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": {}});
    let (mut object, managers) = fields::apply::apply(&empty, config, Shape::of(&call.resource), writer, true)?;
    admit::create(call, &mut object)?;
    managers.write(&mut object);
    create::store(call, object)
}
