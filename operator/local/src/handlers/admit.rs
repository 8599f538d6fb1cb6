//! Everything between a decoded object and a stored one: defaults, pruning, validation, generation, ownership.

use serde_json::Value;

use super::params::FieldValidation;
use super::target::Subresource;
use super::{Call, metadata, strict};
use crate::errors::{ApiError, Cause};
use crate::fields::{Managers, Operation, Shape, Writer};
use crate::object;
use crate::resources::{builtin, crd, defaults, node_ports};
use crate::schema::{cel, default, prune, validate};

/// Patches can nest deeper than parsers, among them the journal's, will read again.
const DEEPEST: usize = 100;

/// Makes `object` what creating it stores.
pub(super) fn create(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    identify(call, object)?;
    metadata::for_create(call, object)?;
    if call.resource.status {
        object::as_map(object).remove("status");
    }
    shape(call, object)?;
    allocate(call, object, None)?;
    if call.resource.custom.is_none()
        && let Some(status) = defaults::initial_status(&call.resource)
    {
        object["status"] = status;
    }
    validated(call, object, None)
}

/// Makes `object` what replacing `old` with it stores.
pub(super) fn update(call: &Call, part: Subresource, old: &Value, object: &mut Value) -> Result<(), ApiError> {
    identify(call, object)?;
    metadata::for_update(call, old, object)?;
    if part == Subresource::Status {
        keep_all_but_status(old, object);
    } else if call.resource.status {
        object::copy_field(old, object, "status");
    }
    shape(call, object)?;
    allocate(call, object, Some(old))?;
    validated(call, object, Some(old))?;
    if spec_differs(call, old, object) {
        let generation = object::at(old, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(0);
        object::meta_mut(object).insert("generation".to_owned(), (generation + 1).into());
    }
    Ok(())
}

/// Who makes this request, for field ownership.
pub(super) fn writer(call: &Call, operation: Operation, subresource: &str) -> Writer {
    let agent = call.parts.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let agent = agent.split('/').next().unwrap_or("");
    let manager = [call.params.field_manager.as_str(), agent, "unknown"].into_iter().find(|name| !name.is_empty());
    Writer {
        manager: manager.unwrap_or("unknown").chars().take(128).collect(),
        operation,
        api_version: call.resource.group_version(),
        subresource: subresource.to_owned(),
    }
}

/// Writes the owners after an ordinary create or update. Managers that the client sent are taken as they are; an
/// empty list resets them.
pub(super) fn record_owners(call: &Call, old: &Value, object: &mut Value, subresource: &str) {
    let sent = object::at(object, &["metadata", "managedFields"]).and_then(Value::as_array);
    let mut managers = match sent {
        Some(list) if list.is_empty() || list.iter().all(|entry| entry == &serde_json::json!({})) => {
            Managers::default()
        }
        Some(_) => Managers::of(object),
        None => Managers::of(old),
    };
    let writer = writer(call, Operation::Update, subresource);
    managers.record_update(old, object, Shape::of(&call.resource), &writer);
    managers.write(object);
}

/// Checks `apiVersion` and `kind` against the path.
fn identify(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    if !object::is_at_most_deep(object, DEEPEST) {
        return Err(ApiError::bad_request(format!("the object is nested deeper than {DEEPEST} levels")));
    }
    let wanted = [("apiVersion", call.resource.group_version()), ("kind", call.resource.kind.clone())];
    for (field, wanted) in wanted {
        let given = object.get(field).and_then(Value::as_str).unwrap_or("");
        if !given.is_empty() && given != wanted {
            return Err(ApiError::bad_request(format!(
                "the {field} in the data ({given}) does not match the expected {field} ({wanted})"
            )));
        }
    }
    call.resource.stamp(object);
    Ok(())
}

fn keep_all_but_status(old: &Value, object: &mut Value) {
    let (status, managed) = (object.get("status").cloned(), object["metadata"].get("managedFields").cloned());
    let mut kept = old.clone();
    match status {
        Some(status) => kept["status"] = status,
        None => {
            object::as_map(&mut kept).remove("status");
        }
    }
    match managed {
        Some(managed) => object::meta_mut(&mut kept).insert("managedFields".to_owned(), managed),
        None => object::meta_mut(&mut kept).remove("managedFields"),
    };
    // The stored object may have been written through another version.
    kept["apiVersion"] = object["apiVersion"].clone();
    *object = kept;
}

/// How a real API server says that an object does not fit its kind.
fn undecodable(call: &Call, error: ApiError) -> ApiError {
    let (kind, version) = (&call.resource.kind, &call.resource.version);
    ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {error}"))
}

/// Prunes and defaults.
fn shape(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    match &call.resource.custom {
        Some(custom) => {
            let pruned = prune::prune(object, &custom.schema);
            strict::check(call.params.field_validation, &pruned).map_err(|error| undecodable(call, error))?;
            default::fill(object, &custom.schema);
        }
        None => {
            if call.params.field_validation == FieldValidation::Strict {
                strict::check(FieldValidation::Strict, &call.core.openapi.unknown_fields(&call.resource, object))?;
            }
            defaults::fill(&call.resource, object);
        }
    }
    Ok(())
}

/// Gives out what objects of this kind are given: node ports.
fn allocate(call: &Call, object: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    match node_ports::allocate(&call.core.store, &call.resource, object, old) {
        causes if causes.is_empty() => Ok(()),
        causes => Err(ApiError::invalid(call.resource.kind_subject(object::name(object)), causes)),
    }
}

fn validated(call: &Call, object: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    let causes = match &call.resource.custom {
        Some(custom) => {
            let mut causes = validate::validate(object, &custom.schema);
            if causes.is_empty() {
                causes = cel::check(object, old, &custom.schema);
            }
            causes
        }
        None if call.resource.is(builtin::DEFINITIONS) => {
            let causes = crd::validate(object);
            crd::set_status(object, old);
            causes
        }
        None => builtin_causes(call, object, old),
    };
    if !causes.is_empty() {
        return Err(ApiError::invalid(call.resource.kind_subject(object::name(object)), causes));
    }
    if let Some(Err(error)) = call.resource.decode.map(|decode| decode(object)) {
        let kind = &call.resource.kind;
        return Err(ApiError::bad_request(format!("the object cannot be handled as a {kind}: {error}")));
    }
    Ok(())
}

/// The few rules of built-in kinds without which a controller would be led astray.
fn builtin_causes(call: &Call, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut required = |path: &[&str]| {
        let missing = match object::at(object, path) {
            None | Some(Value::Null) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(_) => false,
        };
        if missing {
            causes.push(Cause::required(path.join("."), ""));
        }
    };
    match &*call.resource.storage {
        "pods" => required(&["spec", "containers"]),
        "deployments.apps" | "replicasets.apps" | "statefulsets.apps" => {
            required(&["spec", "selector"]);
            required(&["spec", "template", "spec", "containers"]);
        }
        "persistentvolumeclaims" => required(&["spec", "accessModes"]),
        _ => {}
    }
    let immutable: &[&[&str]] = match &*call.resource.storage {
        "statefulsets.apps" => &[
            &["spec", "selector"],
            &["spec", "serviceName"],
            &["spec", "podManagementPolicy"],
            &["spec", "volumeClaimTemplates"],
        ],
        _ => &[],
    };
    let changed = |path: &&&[&str]| old.is_some_and(|old| object::at(old, path) != object::at(object, path));
    if immutable.iter().any(|path| changed(&path)) {
        let message = "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
             'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are \
             forbidden";
        causes.push(Cause::new("FieldValueForbidden", "spec", message.to_owned()));
    }
    causes
}

/// Did anything change that a controller has to act on?
fn spec_differs(call: &Call, old: &Value, new: &Value) -> bool {
    let beside: &[&str] = if call.resource.status {
        &["metadata", "apiVersion", "kind", "status"]
    } else {
        &["metadata", "apiVersion", "kind"]
    };
    !object::same_besides(old, new, beside)
}
