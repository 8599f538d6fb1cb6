//! `GET` of one object.

use axum::response::Response;
use http::StatusCode;

use super::{Call, json};
use crate::errors::ApiError;

pub(super) fn get(call: &Call) -> Result<Response, ApiError> {
    let stored = call.core.store.get(&call.resource.key(&call.namespace, &call.name));
    let stored = stored.ok_or_else(|| ApiError::not_found(call.resource.subject(&call.name)))?;
    let object = call.resource.view(&stored);
    Ok(json(StatusCode::OK, &call.output.view(&call.resource, object)))
}
