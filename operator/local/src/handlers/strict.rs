//! `fieldValidation=Strict`: fields that no schema knows are errors instead of being dropped.

use crate::errors::ApiError;

use super::params::FieldValidation;

/// Fails for `unknown` fields if the client asked for that.
pub(super) fn check(validation: FieldValidation, unknown: &[String]) -> Result<(), ApiError> {
    if validation == FieldValidation::Ignore || unknown.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    Err(ApiError::bad_request(format!("strict decoding error: {}", list.join(", "))))
}
