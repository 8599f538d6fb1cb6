//! JSON patch (RFC 6902).

use serde_json::Value;

use crate::errors::ApiError;

/// A patch with more operations than this is refused, as a real API server does.
const MOST_OPERATIONS: usize = 10_000;

pub(crate) fn apply(document: &mut Value, patch: Value) -> Result<(), ApiError> {
    let patch: json_patch::Patch = serde_json::from_value(patch)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if patch.len() > MOST_OPERATIONS {
        return Err(ApiError::too_large(MOST_OPERATIONS));
    }
    json_patch::patch(document, &patch).map_err(|error| ApiError {
        code: 422,
        reason: "Invalid",
        ..ApiError::bad_request(format!("the server rejected our request due to an error in our request: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_failed_test_leaves_the_document_alone() {
        let mut document = json!({"a": 1});
        let patch = json!([{"op": "replace", "path": "/a", "value": 2}, {"op": "test", "path": "/a", "value": 3}]);
        assert_eq!(super::apply(&mut document, patch).unwrap_err().code, 422);
        assert_eq!(document, json!({"a": 1}));
    }

    #[test]
    fn a_patch_that_is_no_list_of_operations_is_a_bad_request() {
        assert_eq!(super::apply(&mut json!({}), json!({"op": "add"})).unwrap_err().code, 400);
    }
}
