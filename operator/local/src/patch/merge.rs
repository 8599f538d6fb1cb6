//! JSON merge patch (RFC 7386).

use serde_json::Value;

use crate::errors::ApiError;

pub(crate) fn apply(document: &mut Value, patch: &Value) -> Result<(), ApiError> {
    if !patch.is_object() {
        return Err(ApiError::bad_request("error decoding patch: a merge patch is an object"));
    }
    json_patch::merge(document, patch);
    Ok(())
}
