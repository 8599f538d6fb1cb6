//! `PUT`, and the read-modify-write that it shares with the patches.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::target::Subresource;
use super::{Call, admit, body, create, json};
use crate::errors::{ApiError, Cause};
use crate::fields::Managers;
use crate::object;
use crate::writes::{self, Replaced};

/// What a modification makes of the object it finds.
pub(super) struct Made {
    pub object: Value,
    /// The owners, where the modification decides them itself (apply).
    pub managers: Option<Managers>,
}

pub(super) async fn put(call: &Call, part: Subresource, body: Body) -> Result<Response, ApiError> {
    let given = body::object(&call.parts, body).await?;
    if part == Subresource::Status && !call.resource.status {
        return Err(ApiError::no_such_path());
    }
    let exists = call.core.store.get(&call.resource.key(&call.namespace, &call.name)).is_some();
    // Leases and events may be created by updating them; other kinds must be created first.
    let may_create = call.resource.is("leases.coordination.k8s.io") || call.resource.is("events");
    if !exists && may_create && part == Subresource::None && object::version(&given) == 0 {
        return create::answer_with(call, create::create_object(call, &given)?);
    }
    let object = modify(call, part, |_| Ok(Made { object: given.clone(), managers: None }))?;
    Ok(json(StatusCode::OK, &call.output.object(&call.resource, object)))
}

/// Replaces the object by what `make` makes of it, again from the start whenever another writer was faster.
pub(super) fn modify(
    call: &Call,
    part: Subresource,
    make: impl Fn(&Value) -> Result<Made, ApiError>,
) -> Result<Value, ApiError> {
    let key = call.resource.key(&call.namespace, &call.name);
    loop {
        let stored = call.core.store.get(&key).ok_or_else(|| ApiError::not_found(call.resource.subject(&call.name)))?;
        let old = call.resource.view(&stored);
        let Made { mut object, managers } = make(&old)?;
        let wanted = object::meta(&object, "resourceVersion");
        if !wanted.is_empty() && wanted != object::meta(&old, "resourceVersion") {
            return Err(ApiError::modified(call.resource.subject(&call.name)));
        }
        admit::update(call, part, &old, &mut object)?;
        match &managers {
            Some(managers) => managers.write(&mut object),
            None => admit::record_owners(call, &old, &mut object, subresource_name(part)),
        }
        if is_same(&old, &object) {
            return Ok(old.into_owned());
        }
        if call.params.dry_run {
            return Ok(object);
        }
        match writes::replace(&call.core, &call.resource, &stored, object)? {
            Replaced::Stored(object) | Replaced::Removed(object) => return Ok(call.resource.present(&object)),
            Replaced::Lost => {}
        }
    }
}

fn subresource_name(part: Subresource) -> &'static str {
    match part {
        Subresource::Status => "status",
        Subresource::Scale => "scale",
        _ => "",
    }
}

/// A write that changes nothing but the time of ownership is not written.
fn is_same<'a>(old: &'a Value, new: &'a Value) -> bool {
    let metadata = |object: &'a Value| object.get("metadata").unwrap_or(&Value::Null);
    object::same_besides(old, new, &["metadata"])
        && object::same_besides(metadata(old), metadata(new), &["managedFields"])
        && Managers::of(old).same_owners(&Managers::of(new))
}

/// `PUT …/namespaces/x/finalize`: the one way to take away a namespace's own finalizers.
pub(super) async fn finalize_namespace(call: &Call, body: Body) -> Result<Response, ApiError> {
    let given = body::object(&call.parts, body).await?;
    let finalizers = object::at(&given, &["spec", "finalizers"]).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    if !finalizers.is_array() {
        let cause = Cause::invalid("spec.finalizers", &finalizers.to_string(), "must be a list");
        return Err(ApiError::invalid(call.resource.kind_subject(&call.name), vec![cause]));
    }
    let object = modify(call, Subresource::None, |old| {
        let mut object = old.clone();
        object["spec"]["finalizers"] = finalizers.clone();
        Ok(Made { object, managers: None })
    })?;
    Ok(json(StatusCode::OK, &object))
}
