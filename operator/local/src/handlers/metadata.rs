//! What a write may do to `metadata`, and what the server puts there itself.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Call;
use crate::errors::{ApiError, Cause};
use crate::object;
use crate::resources::names::Rule;

const KNOWN: [&str; 14] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
/// All annotations together.
const MOST_ANNOTATION_BYTES: usize = 256 * 1024;

/// Completes the metadata of an object about to be created.
pub(super) fn for_create(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    place(call, object)?;
    if object::name(object).is_empty() {
        let prefix = object::meta(object, "generateName").to_owned();
        if prefix.is_empty() {
            let subject = call.resource.kind_subject("");
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(ApiError::invalid(subject, vec![cause]));
        }
        object::set_meta(object, "name", &format!("{}{}", shortened(&prefix), random_suffix()));
    }
    if !object::meta(object, "resourceVersion").is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    check(call, object)?;
    object::set_meta(object, "uid", &Uuid::new_v4().to_string());
    object::set_meta(object, "creationTimestamp", &object::now_seconds());
    let metadata = object::meta_mut(object);
    metadata.remove("deletionTimestamp");
    metadata.remove("deletionGracePeriodSeconds");
    metadata.insert("generation".to_owned(), 1.into());
    Ok(())
}

/// Carries over what an update cannot change. The caller has checked the version.
pub(super) fn for_update(call: &Call, old: &Value, object: &mut Value) -> Result<(), ApiError> {
    place(call, object)?;
    let given = object::uid(object);
    if !given.is_empty() && given != object::uid(old) {
        let why =
            format!("Precondition failed: UID in precondition: {given}, UID in object meta: {}", object::uid(old));
        return Err(ApiError::conflict(call.resource.subject(object::name(old)), &why));
    }
    check(call, object)?;
    let before = object::at(old, &["metadata"]).cloned().unwrap_or(Value::Null);
    let metadata = object::meta_mut(object);
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
        "resourceVersion",
    ] {
        match before.get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
    no_new_finalizers(call, old, object)
}

/// Makes name and namespace those of the path.
fn place(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    let metadata = object::meta_mut(object);
    metadata.retain(|field, value| KNOWN.contains(&field.as_str()) && !value.is_null());
    let mut agree = |field: &str, wanted: &str, words: &str| {
        let given = metadata.get(field).and_then(Value::as_str).unwrap_or("");
        if !wanted.is_empty() && !given.is_empty() && given != wanted {
            return Err(ApiError::bad_request(format!(
                "the {words} of the object ({given}) does not match the {words} on the URL ({wanted})"
            )));
        }
        if !wanted.is_empty() {
            metadata.insert(field.to_owned(), wanted.into());
        }
        Ok(())
    };
    agree("name", &call.name, "name")?;
    if call.resource.namespaced {
        agree("namespace", &call.namespace, "namespace")
    } else {
        object::meta_mut(object).remove("namespace");
        Ok(())
    }
}

fn check(call: &Call, object: &Value) -> Result<(), ApiError> {
    let mut causes = Vec::new();
    let name = object::name(object);
    if let Some(why) = Rule::of(&call.resource.storage).check(name) {
        causes.push(Cause::invalid("metadata.name", &format!("{name:?}"), &why));
    }
    for field in ["labels", "annotations"] {
        let value = object::at(object, &["metadata", field]);
        let texts = value.is_none_or(|v| v.as_object().is_some_and(|map| map.values().all(Value::is_string)));
        if !texts {
            let shown = value.map(ToString::to_string).unwrap_or_default();
            causes.push(Cause::invalid(format!("metadata.{field}"), &shown, "must be a map of strings"));
        }
    }
    let annotations = object::at(object, &["metadata", "annotations"]).and_then(Value::as_object);
    let size =
        |map: &Map<String, Value>| map.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum::<usize>();
    if annotations.is_some_and(|map| size(map) > MOST_ANNOTATION_BYTES) {
        let message = format!("Too long: may not be more than {MOST_ANNOTATION_BYTES} bytes");
        causes.push(Cause::new("FieldValueTooLong", "metadata.annotations", message));
    }
    owner_references(object, &mut causes);
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid(call.resource.kind_subject(name), causes)) }
}

fn owner_references(object: &Value, causes: &mut Vec<Cause>) {
    let mut controllers = 0;
    for (i, owner) in object::owners(object).iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or("").is_empty() {
                let path = format!("metadata.ownerReferences[{i}].{field}");
                causes.push(Cause::required(path, "must not be empty"));
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let why = "Only one reference can have Controller set to true";
        causes.push(Cause::invalid("metadata.ownerReferences", "\"array\"", why));
    }
}

/// An object that is going can only lose finalizers.
fn no_new_finalizers(call: &Call, old: &Value, object: &Value) -> Result<(), ApiError> {
    if !object::is_terminating(old) {
        return Ok(());
    }
    let before: Vec<_> = object::finalizers(old).collect();
    let Some(new) = object::finalizers(object).find(|f| !before.contains(f)) else { return Ok(()) };
    let message = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {new:?}"
    );
    let cause = Cause::new("FieldValueForbidden", "metadata.finalizers", message);
    Err(ApiError::invalid(call.resource.kind_subject(object::name(old)), vec![cause]))
}

fn shortened(prefix: &str) -> &str {
    // Leaves room for the suffix within the 63 bytes that every kind accepts.
    let mut end = prefix.len().min(58);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    &prefix[..end]
}

/// Five characters, without vowels and look-alikes, as Kubernetes makes them.
fn random_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect()
}
