//! DeleteGroups: groups without members, and their offsets.

use std::collections::HashSet;

use ottla_core::group::{Request, Response};
use ottla_protocol::messages::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

use super::Context;
use super::groups::{code, coordinate, unexpected};

/// Deletes each group asked for, once.
pub(super) async fn handle(context: Context, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut seen = HashSet::new();
    let mut results = Vec::new();
    for name in request.groups_names {
        if !seen.insert(name.clone()) {
            continue;
        }
        let error_code = match coordinate(&context, &name, Request::Delete(name.to_string())).await {
            Ok(Response::Delete(result)) => code(result),
            Ok(other) => unexpected(&other),
            Err(code) => code,
        };
        results.push(DeletableGroupResult { group_id: name, error_code });
    }
    DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
}
