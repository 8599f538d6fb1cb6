//! JSON patch (RFC 6902).

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::errors::ApiError;

/// A patch with more operations than this is refused, as a real API server does.
const MOST_OPERATIONS: usize = 10_000;

/// All that a patch's copies may add: a few of them could otherwise double a document without end.
const MOST_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Applies the patch, wholly or not at all.
pub(crate) fn apply(document: &mut Value, patch: Value) -> Result<(), ApiError> {
    let Patch(operations) = serde_json::from_value(patch)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if operations.len() > MOST_OPERATIONS {
        return Err(ApiError::too_large(MOST_OPERATIONS));
    }
    let (mut patched, mut copied) = (document.clone(), 0);
    for operation in &operations {
        if let PatchOperation::Copy(copy) = operation {
            copied += patched.pointer(copy.from.as_str()).map_or(0, |source| source.to_string().len());
            if copied > MOST_COPIED_BYTES {
                return Err(ApiError::too_large(MOST_COPIED_BYTES));
            }
        }
        json_patch::patch_unsafe(&mut patched, std::slice::from_ref(operation)).map_err(|error| ApiError {
            code: 422,
            reason: "Invalid",
            ..ApiError::bad_request(format!("the server rejected our request due to an error in our request: {error}"))
        })?;
    }
    *document = patched;
    Ok(())
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
    fn copies_cannot_double_a_document_without_end() {
        let into = |path: &str| json!({"op": "copy", "from": "", "path": path});
        let patch: Vec<_> = (0..50).flat_map(|_| [into("/a"), into("/b")]).collect();
        let mut document = json!({"a": "0123456789", "b": "0123456789"});
        let copy = json!({"op": "copy", "from": "/b", "path": "/c"});
        super::apply(&mut document, json!([copy])).unwrap();
        assert_eq!(document["c"], "0123456789");
        assert_eq!(super::apply(&mut document, patch.into()).unwrap_err().code, 413);
    }

    #[test]
    fn a_patch_that_is_no_list_of_operations_is_a_bad_request() {
        assert_eq!(super::apply(&mut json!({}), json!({"op": "add"})).unwrap_err().code, 400);
    }
}
