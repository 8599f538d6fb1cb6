//! Request bodies: bounded, and decoded from JSON or YAML.

use axum::body::Body;
use http::header;
use http::request::Parts;
use serde_json::Value;

use super::protobuf;
use crate::errors::ApiError;

/// The largest body read, the limit a real API server has.
pub(super) const LARGEST: usize = 3 * 1024 * 1024;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const OBJECT_TYPES: &str = "application/json, application/yaml";

/// The media type without its parameters; empty if there is none.
pub(super) fn media_type(parts: &Parts) -> &str {
    let given = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    given.split(';').next().unwrap_or("").trim()
}

pub(super) async fn read(body: Body) -> Result<Vec<u8>, ApiError> {
    let bytes = axum::body::to_bytes(body, LARGEST).await.map_err(|error| {
        // axum reports both with one type; only an over-long body is a LengthLimitError inside.
        let too_long = std::error::Error::source(&error).is_some_and(|e| e.is::<http_body_util::LengthLimitError>());
        if too_long { ApiError::too_large(LARGEST) } else { ApiError::bad_request(format!("unreadable body: {error}")) }
    })?;
    Ok(bytes.into())
}

/// An object in JSON or YAML.
pub(super) async fn object(parts: &Parts, body: Body) -> Result<Value, ApiError> {
    let media_type = media_type(parts);
    let value = match media_type {
        "" | "application/json" => from_json(&read(body).await?)?,
        "application/yaml" | "text/yaml" => from_yaml(&read(body).await?)?,
        PROTOBUF => protobuf::decode(&read(body).await?)
            .ok_or_else(|| ApiError::unsupported_media_type(media_type, OBJECT_TYPES))?,
        other => return Err(ApiError::unsupported_media_type(other, OBJECT_TYPES)),
    };
    if value.is_object() { Ok(value) } else { Err(ApiError::bad_request("the body is not an object")) }
}

/// As [`object`], but an absent body is `None`.
pub(super) async fn optional_object(parts: &Parts, body: Body) -> Result<Option<Value>, ApiError> {
    let bytes = read(body).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    object(parts, Body::from(bytes)).await.map(Some)
}

pub(super) fn from_json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))
}

/// YAML is a superset of JSON, so this reads both.
pub(super) fn from_yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_yaml::from_slice(bytes).map_err(|error| ApiError::bad_request(format!("the body is not YAML: {error}")))
}
