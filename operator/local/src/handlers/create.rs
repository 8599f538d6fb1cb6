//! `POST` to a collection.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, admit, body, json as answer};
use crate::errors::{ApiError, Cause};
use crate::object;
use crate::writes;

/// A generated name that is taken is made again this often.
const ATTEMPTS: usize = 8;

pub(super) async fn create(call: &Call, body: Body) -> Result<Response, ApiError> {
    let given = body::object(&call.parts, body).await?;
    answer_with(call, create_object(call, &given)?)
}

/// Creates the object; used by apply too, which brings its own owners in `metadata.managedFields`.
pub(super) fn create_object(call: &Call, given: &Value) -> Result<Value, ApiError> {
    check_namespace(call)?;
    let generated = object::name(given).is_empty() && call.name.is_empty();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut object = given.clone();
        admit::create(call, &mut object)?;
        let nothing = json!({});
        admit::record_owners(call, &nothing, &mut object, "");
        match store(call, object) {
            Err(error) if generated && error.reason == "AlreadyExists" && attempt < ATTEMPTS => {}
            outcome => return outcome,
        }
    }
}

pub(super) fn answer_with(call: &Call, object: Value) -> Result<Response, ApiError> {
    Ok(answer(StatusCode::CREATED, &call.output.object(&call.resource, object)))
}

/// Stores an admitted object, or with `dryRun` only says what it would be.
pub(super) fn store(call: &Call, object: Value) -> Result<Value, ApiError> {
    if call.params.dry_run {
        let key = call.resource.key(object::namespace(&object), object::name(&object));
        return match call.core.store.get(&key) {
            Some(_) => Err(ApiError::already_exists(call.resource.subject(object::name(&object)))),
            None => Ok(object),
        };
    }
    let stored = writes::create(&call.core, &call.resource, object)?;
    Ok(call.resource.present(&stored))
}

/// The namespace must exist, and must not be going.
pub(super) fn check_namespace(call: &Call) -> Result<(), ApiError> {
    if !call.resource.namespaced {
        return Ok(());
    }
    if call.namespace.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    let namespaces = call.core.registry.get("", "v1", "namespaces").ok_or_else(ApiError::no_such_path)?;
    let namespace = call.core.store.get(&namespaces.key("", &call.namespace));
    let namespace = namespace.ok_or_else(|| ApiError::not_found(namespaces.subject(&call.namespace)))?;
    if !object::is_terminating(&namespace) {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {} because it is being terminated", call.namespace);
    let message = format!("namespace {} is being terminated", call.namespace);
    let cause = Cause::new("NamespaceTerminating", "metadata.namespace", message);
    Err(ApiError { causes: vec![cause], ..ApiError::forbidden(call.resource.subject(&call.name), &why) })
}
