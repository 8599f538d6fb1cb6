//! Reading and writing the few fields of a Kubernetes object that the server itself cares about.
//!
//! Objects are JSON values throughout: the server serves kinds it has no Rust type for.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};

/// Is there nothing nested below `levels` levels?
pub(crate) fn is_at_most_deep(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(fields) => levels > 0 && fields.values().all(|child| is_at_most_deep(child, levels - 1)),
        Value::Array(items) => levels > 0 && items.iter().all(|child| is_at_most_deep(child, levels - 1)),
        _ => true,
    }
}

/// The current time as Kubernetes writes it: RFC 3339 in UTC, whole seconds.
pub(crate) fn now_seconds() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A string field of `metadata`, or the empty string.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or("")
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    meta(object, "namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    meta(object, "uid")
}

/// The object's resourceVersion as this server counts them; 0 if there is none.
pub(crate) fn version(object: &Value) -> u64 {
    meta(object, "resourceVersion").parse().unwrap_or(0)
}

pub(crate) fn is_terminating(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}

/// The value at a path of field names, none of which may be an index.
pub(crate) fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, field| value.get(field))
}

pub(crate) fn str_at<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or("")
}

/// The list at `path`, empty if there is none.
pub(crate) fn list_at<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    at(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list_at(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str)
}

pub(crate) fn owners(object: &Value) -> &[Value] {
    list_at(object, &["metadata", "ownerReferences"])
}

/// The object `value` is, made one if it is anything else.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object above")
}

/// The `metadata` of an object, created if missing.
pub(crate) fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    as_map(as_map(object).entry("metadata").or_insert(Value::Null))
}

/// Sets a string of `metadata`, or takes the field away when the string is empty.
pub(crate) fn set_meta(object: &mut Value, field: &str, value: &str) {
    if value.is_empty() {
        meta_mut(object).remove(field);
    } else {
        meta_mut(object).insert(field.to_owned(), value.into());
    }
}

/// Takes one finalizer away; true if it was there.
pub(crate) fn remove_finalizer(object: &mut Value, finalizer: &str) -> bool {
    let metadata = meta_mut(object);
    let Some(Value::Array(list)) = metadata.get_mut("finalizers") else { return false };
    let before = list.len();
    list.retain(|f| f.as_str() != Some(finalizer));
    let removed = list.len() < before;
    if list.is_empty() {
        metadata.remove("finalizers");
    }
    removed
}

/// Adds a finalizer that is not there yet.
pub(crate) fn add_finalizer(object: &mut Value, finalizer: &str) {
    let list = meta_mut(object).entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(list) = list
        && !list.iter().any(|f| f.as_str() == Some(finalizer))
    {
        list.push(finalizer.into());
    }
}

/// Whether two objects have the same fields with the same values, those in `but` aside.
pub(crate) fn same_besides(one: &Value, other: &Value, but: &[&str]) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let counts = |fields: &Map<String, Value>| fields.keys().filter(|name| !but.contains(&name.as_str())).count();
    let mut fields = one.iter().filter(|(name, _)| !but.contains(&name.as_str()));
    counts(one) == counts(other) && fields.all(|(name, value)| other.get(name) == Some(value))
}

/// Copies the value of `field` from one object to another, or removes it where the source has none.
pub(crate) fn copy_field(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => as_map(to).insert(field.to_owned(), value.clone()),
        None => as_map(to).remove(field),
    };
}
