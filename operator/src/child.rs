//! One object that belongs to a cluster: what it should be, and whether it already is.
//!
//! The API server fills in defaults and spells amounts its own way, so two objects are compared by what we say, not by
//! all they have; without that, every pass would write again.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, api::ApiResource};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{fingerprint::fingerprint, names::APPLIED, quantity};

/// An object to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub resource: ApiResource,
    /// metadata.name.
    pub name: String,
    /// The whole of it, with the fingerprint of its content in an annotation.
    pub body: Value,
}

impl Child {
    /// The child for a typed object.
    ///
    /// # Errors
    /// Fails if the object cannot be written as JSON.
    pub fn new<K>(object: &K) -> Result<Self, serde_json::Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let resource = ApiResource::erase::<K>(&());
        let mut body = serde_json::to_value(object)?;
        body["apiVersion"] = json!(resource.api_version);
        body["kind"] = json!(resource.kind);
        let applied = fingerprint(&body)?;
        body["metadata"]["annotations"][APPLIED] = json!(applied);
        Ok(Self { resource, name: object.meta().name.clone().unwrap_or_default(), body })
    }

    /// Whether `stored` is already as this says: applied from the same content, and not changed since.
    pub fn is_in(&self, stored: &Value) -> bool {
        contains(stored, &self.body)
    }
}

/// Whether `object` belongs to the owner with `uid`; one that does not is never touched.
pub fn is_owned_by(object: &Value, uid: &str) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid && owner["controller"] == true))
}

/// The reference children carry to their cluster.
pub fn owner_reference<K: Resource<DynamicType = ()>>(owner: &K) -> Option<OwnerReference> {
    owner.controller_owner_ref(&())
}

/// Whether all of `part` is in `whole`. Lists must be equally long: a list is one value, except that the entries may
/// have more fields, and that named ones, which the API server merges by keys, may stand in another order.
pub(crate) fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(key, value)| match whole.get(key) {
            Some(found) => contains(found, value),
            None => is_empty(value),
        }),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && match names(whole).zip(names(part)) {
                    Some((whole, part)) => {
                        part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part)))
                    }
                    None => whole.iter().zip(part).all(|(whole, part)| contains(whole, part)),
                }
        }
        (Value::String(whole), Value::String(part)) => {
            whole == part || quantity::milli(whole).is_some_and(|amount| Some(amount) == quantity::milli(part))
        }
        _ => whole == part,
    }
}

/// The entries by their names, if each has one of its own.
fn names(list: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named: BTreeMap<&str, &Value> =
        list.iter().map(|entry| Some((entry["name"].as_str()?, entry))).collect::<Option<_>>()?;
    (named.len() == list.len()).then_some(named)
}

/// Empty maps and lists are dropped on their way through the API server.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;

    fn child(data: &[(&str, &str)]) -> Child {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Child::new(&ConfigMap {
            metadata: ObjectMeta { name: Some("demo-config".to_owned()), ..ObjectMeta::default() },
            data: Some(data),
            ..ConfigMap::default()
        })
        .unwrap()
    }

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        let child = child(&[("a", "1")]);
        let mut stored = child.body.clone();
        stored["metadata"]["uid"] = json!("u");
        stored["immutable"] = json!(false);
        assert!(child.is_in(&stored));
    }

    #[test]
    fn a_changed_or_removed_value_is_a_difference() {
        let child = child(&[("a", "1")]);
        let mut stored = child.body.clone();
        stored["data"]["a"] = json!("2");
        assert!(!child.is_in(&stored));
        // What an earlier spec asked for and this one does not shows in the fingerprint.
        assert!(!self::child(&[("a", "1")]).is_in(&self::child(&[("a", "1"), ("b", "2")]).body));
    }

    #[test]
    fn an_amount_in_another_spelling_is_no_difference() {
        assert!(contains(&json!({"storage": "1Gi"}), &json!({"storage": "1024Mi"})));
        assert!(!contains(&json!({"storage": "2Gi"}), &json!({"storage": "1Gi"})));
        assert!(contains(&json!({}), &json!({"emptyDir": {}})));
        assert!(!contains(&json!([1, 2]), &json!([1])));
    }

    #[test]
    fn named_entries_in_another_order_are_no_difference() {
        let ports = |ports: &[(&str, i32)]| {
            json!(ports.iter().map(|(name, port)| json!({"name": name, "port": port})).collect::<Vec<_>>())
        };
        let merged = ports(&[("plain", 9092), ("http", 9404), ("out", 9094)]);
        assert!(contains(&merged, &ports(&[("plain", 9092), ("out", 9094), ("http", 9404)])));
        assert!(!contains(&merged, &ports(&[("plain", 9092), ("out", 9095), ("http", 9404)])));
        assert!(!contains(&merged, &ports(&[("plain", 9092), ("other", 9094), ("http", 9404)])));
        let mounts = json!([{"name": "data", "mountPath": "/b"}, {"name": "data", "mountPath": "/a"}]);
        assert!(!contains(&mounts, &json!([{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/b"}])));
    }

    #[test]
    fn only_the_controlling_owner_counts() {
        let object = |controller| json!({"metadata": {"ownerReferences": [{"uid": "u", "controller": controller}]}});
        assert!(is_owned_by(&object(true), "u"));
        assert!(!is_owned_by(&object(false), "u"));
        assert!(!is_owned_by(&object(true), "other"));
        assert!(!is_owned_by(&json!({"metadata": {}}), "u"));
    }
}
