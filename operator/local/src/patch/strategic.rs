//! Strategic merge patch for built-in kinds, as `kubectl apply` and `kubectl edit` send it.
//!
//! Lists are merged by the keys of [`crate::fields::builtin_lists`]; the directives `$patch`, `$retainKeys`,
//! `$setElementOrder/…` and `$deleteFromPrimitiveList/…` are obeyed.

use serde_json::{Map, Value};

use crate::errors::ApiError;
use crate::fields::builtin_lists::{self, Merge};

pub(crate) fn apply(document: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let (Value::Object(target), Value::Object(changes)) = (document, patch) else {
        return Err(ApiError::bad_request("error decoding patch: a strategic merge patch is an object"));
    };
    merge_map(target, changes, "")
}

fn merge_map(target: &mut Map<String, Value>, patch: &Map<String, Value>, parent: &str) -> Result<(), ApiError> {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(ApiError::bad_request(format!("unrecognized type: $patch: {other}"))),
    }
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        target.retain(|name, _| kept.iter().any(|k| k.as_str() == Some(name)));
    }
    for (name, change) in patch {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            delete_primitives(target, list, change);
        } else if !name.starts_with('$') {
            merge_field(target, name, change, parent)?;
        }
    }
    for (name, order) in patch {
        if let Some(list) = name.strip_prefix("$setElementOrder/") {
            reorder(target, list, order, parent);
        }
    }
    Ok(())
}

fn merge_field(target: &mut Map<String, Value>, name: &str, change: &Value, parent: &str) -> Result<(), ApiError> {
    match (target.get_mut(name), change) {
        (_, Value::Null) => {
            target.remove(name);
        }
        (Some(Value::Object(current)), Value::Object(changes)) => merge_map(current, changes, name)?,
        (Some(Value::Array(current)), Value::Array(changes)) => match builtin_lists::of(parent, name) {
            Merge::ByKeys(keys) => merge_list(current, changes, keys, name)?,
            Merge::Set => {
                let missing: Vec<_> = changes.iter().filter(|c| !current.contains(c)).cloned().collect();
                current.extend(missing);
            }
            Merge::Atomic => *current = changes.clone(),
        },
        (_, Value::Object(changes)) => {
            let mut fresh = Map::new();
            merge_map(&mut fresh, changes, name)?;
            target.insert(name.to_owned(), Value::Object(fresh));
        }
        (_, Value::Array(changes)) => {
            let mut fresh = Vec::new();
            match builtin_lists::of(parent, name) {
                Merge::ByKeys(keys) => merge_list(&mut fresh, changes, keys, name)?,
                Merge::Set | Merge::Atomic => fresh.clone_from(changes),
            }
            target.insert(name.to_owned(), Value::Array(fresh));
        }
        (_, scalar) => {
            target.insert(name.to_owned(), scalar.clone());
        }
    }
    Ok(())
}

fn merge_list(current: &mut Vec<Value>, changes: &[Value], keys: &[&str], name: &str) -> Result<(), ApiError> {
    // Only the first key tells items apart in this format; the others matter to server-side apply.
    let key = keys[0];
    if changes.iter().any(|change| change["$patch"] == "replace") {
        current.clear();
    }
    for change in changes {
        let Value::Object(fields) = change else {
            return Err(ApiError::bad_request(format!("{name} is a list of objects")));
        };
        let Some(identity) = fields.get(key) else {
            if fields.contains_key("$patch") {
                continue;
            }
            return Err(ApiError::bad_request(format!("map: {change} does not contain declared merge key: {key}")));
        };
        let found = current.iter().position(|item| item.get(key) == Some(identity));
        match (found, fields.get("$patch").and_then(Value::as_str)) {
            (Some(at), Some("delete")) => {
                current.remove(at);
            }
            (None, Some("delete")) => {}
            (Some(at), _) => {
                if let Value::Object(item) = &mut current[at] {
                    merge_map(item, fields, name)?;
                }
            }
            (None, _) => {
                let mut fresh = Map::new();
                merge_map(&mut fresh, fields, name)?;
                current.push(Value::Object(fresh));
            }
        }
    }
    Ok(())
}

fn delete_primitives(target: &mut Map<String, Value>, list: &str, gone: &Value) {
    if let (Some(Value::Array(current)), Value::Array(gone)) = (target.get_mut(list), gone) {
        current.retain(|item| !gone.contains(item));
    }
}

/// Puts the items that the patch orders into its order, after those it does not mention.
fn reorder(target: &mut Map<String, Value>, list: &str, order: &Value, parent: &str) {
    let (Some(Value::Array(current)), Value::Array(order)) = (target.get_mut(list), order) else { return };
    let identity = |item: &Value| match builtin_lists::of(parent, list) {
        Merge::ByKeys(keys) => item[keys[0]].clone(),
        Merge::Set | Merge::Atomic => item.clone(),
    };
    let order: Vec<_> = order.iter().map(identity).collect();
    current.sort_by_key(|item| order.iter().position(|wanted| *wanted == identity(item)).map_or(0, |at| at + 1));
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    patch.iter().filter(|(name, _)| !name.starts_with('$')).map(|(n, v)| (n.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn containers_are_merged_by_name_and_args_replaced() {
        let mut pod = json!({"spec": {"containers": [
            {"name": "a", "image": "1", "args": ["x"], "env": [{"name": "K", "value": "v"}]}, {"name": "b", "image": "1"}]}});
        let patch = json!({"spec": {
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            "containers": [
                {"name": "a", "args": ["y", "z"], "env": [{"name": "L", "value": "w"}]},
                {"name": "b", "$patch": "delete"}, {"name": "c", "image": "2"}]}});
        super::apply(&mut pod, &patch).unwrap();
        assert_eq!(
            pod,
            json!({"spec": {"containers": [
                {"name": "c", "image": "2"},
                {"name": "a", "image": "1", "args": ["y", "z"], "env": [{"name": "K", "value": "v"}, {"name": "L", "value": "w"}]},
            ]}})
        );
    }

    #[test]
    fn directives_replace_retain_and_delete() {
        let mut object = json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"x": 1, "y": 2}, "data": {"k": "v"}});
        let patch = json!({
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]},
            "spec": {"$retainKeys": ["y"], "y": 3}, "data": {"$patch": "replace", "n": "w"}});
        super::apply(&mut object, &patch).unwrap();
        assert_eq!(object, json!({"metadata": {"finalizers": ["b", "c"]}, "spec": {"y": 3}, "data": {"n": "w"}}));
    }
}
