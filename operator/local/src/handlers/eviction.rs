//! `POST …/pods/x/eviction`: a deletion that a PodDisruptionBudget may refuse for now.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Call, body, delete_options, json as answer};
use crate::deletion;
use crate::disruption::{self, Verdict};
use crate::errors::{ApiError, Cause};
use crate::object;
use crate::resources::Resource;
use crate::writes::{self, Replaced};

pub(super) async fn evict(call: &Call, body: Body) -> Result<Response, ApiError> {
    let given = body::object(&call.parts, body).await?;
    let named = object::name(&given);
    if !named.is_empty() && named != call.name {
        let message = format!("name in URL does not match name in Eviction object: {} and {named}", call.name);
        return Err(ApiError::bad_request(message));
    }
    let (mut options, dry_run) = delete_options::of(call, &given["deleteOptions"])?;
    loop {
        let pod = call.core.store.get(&call.resource.key(&call.namespace, &call.name));
        let pod = pod.ok_or_else(|| ApiError::not_found(call.resource.subject(&call.name)))?;
        if !allowed(call, &pod, dry_run)? {
            continue;
        }
        if !dry_run {
            // The pod that the budget was asked about, and no other of its name.
            options.uid.get_or_insert_with(|| object::uid(&pod).to_owned());
            deletion::delete(&call.core, &call.resource, &call.namespace, &call.name, &options)?;
        }
        let success = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
        return Ok(answer(StatusCode::CREATED, &success));
    }
}

/// Whether the pod may go, which its budget then counts; false if the budget changed meanwhile and is to be asked again.
fn allowed(call: &Call, stored: &Value, dry_run: bool) -> Result<bool, ApiError> {
    let budgets = call.core.registry.get("policy", "v1", "poddisruptionbudgets").ok_or_else(ApiError::no_such_path)?;
    let pod = Pod::deserialize(stored).map_err(|error| ApiError::internal(error.to_string()))?;
    let (all, _) = call.core.store.list(&budgets.storage, Some(&call.namespace));
    let typed = all.iter().filter_map(|budget| Some((budget, PodDisruptionBudget::deserialize(&**budget).ok()?)));
    let mut over: Vec<_> = typed.filter(|(_, budget)| disruption::selects(budget, &pod)).collect();
    let Some((stored, budget)) = over.pop() else { return Ok(true) };
    if !over.is_empty() {
        let message =
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(ApiError::internal(message));
    }
    match disruption::verdict(&budget, &pod) {
        Verdict::Free => Ok(true),
        Verdict::Refused(message) => {
            let why = "Cannot evict pod as it would violate the pod's disruption budget.";
            Err(ApiError::too_many_requests(why, vec![Cause::new("DisruptionBudget", "", message)]))
        }
        Verdict::Counted if dry_run => Ok(true),
        Verdict::Counted => count(call, &budgets, stored),
    }
}

/// Notes the disruption in the budget, so that two evictions at once do not both take the last one.
fn count(call: &Call, budgets: &Resource, stored: &Value) -> Result<bool, ApiError> {
    let mut budget = stored.clone();
    let left = object::at(stored, &["status", "disruptionsAllowed"]).and_then(Value::as_i64).unwrap_or(0);
    budget["status"]["disruptionsAllowed"] = (left - 1).into();
    budget["status"]["disruptedPods"][&call.name] = object::now_seconds().into();
    Ok(!matches!(writes::replace(&call.core, budgets, stored, budget)?, Replaced::Lost))
}
