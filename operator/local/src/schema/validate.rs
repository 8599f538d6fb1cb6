//! Value validation against a structural schema, with Kubernetes' messages.

use serde_json::Value;

use super::{ListType, Path, Schema, Type, scalar, shown};
use crate::errors::Cause;

/// Everything that is wrong with a custom resource's content; `metadata` is checked elsewhere.
pub(crate) fn validate(object: &Value, schema: &Schema) -> Vec<Cause> {
    let mut causes = Vec::new();
    node(object, schema, &Path::default(), &mut causes);
    causes
}

fn node(value: &Value, schema: &Schema, path: &Path, causes: &mut Vec<Cause>) {
    if value.is_null() && schema.nullable {
        return;
    }
    if let Some(complaint) = wrong_type(value, schema, path) {
        causes.push(Cause::new("FieldValueTypeInvalid", path.as_str(), complaint));
        return;
    }
    scalar::check(value, schema, path, causes);
    match value {
        Value::Object(fields) => {
            for name in &schema.required {
                if !fields.contains_key(name) {
                    causes.push(Cause::required(path.field(name).as_str(), ""));
                }
            }
            for (name, child) in fields {
                let is_root_meta = path.as_str().is_empty() && name == "metadata";
                if let Some(below) = schema.field(name)
                    && !is_root_meta
                {
                    node(child, below, &path.child(schema, name), causes);
                }
            }
        }
        Value::Array(items) => {
            if let Some(below) = &schema.items {
                items.iter().enumerate().for_each(|(i, item)| node(item, below, &path.index(i), causes));
            }
            duplicates(items, &schema.list_type, path, causes);
        }
        _ => {}
    }
    junctors(value, schema, path, causes);
}

fn wrong_type(value: &Value, schema: &Schema, path: &Path) -> Option<String> {
    if schema.int_or_string {
        let fits = value.is_string() || value.is_i64() || value.is_u64();
        return (!fits).then(|| format!("Invalid value: {}: must be an integer or a string", shown(value)));
    }
    let (fits, wanted) = match schema.kind? {
        Type::Object => (value.is_object(), "object"),
        Type::Array => (value.is_array(), "array"),
        Type::String => (value.is_string(), "string"),
        Type::Integer => (value.as_f64().is_some_and(|n| n.fract() == 0.0), "integer"),
        Type::Number => (value.is_number(), "number"),
        Type::Boolean => (value.is_boolean(), "boolean"),
    };
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    (!fits)
        .then(|| format!("Invalid value: \"{given}\": {} in body must be of type {wanted}: \"{given}\"", path.as_str()))
}

fn duplicates(items: &[Value], list_type: &ListType, path: &Path, causes: &mut Vec<Cause>) {
    let identity = |item: &Value| match list_type {
        ListType::Atomic => None,
        ListType::Set => Some(item.clone()),
        ListType::Map(keys) => Some(Value::Object(keys.iter().map(|key| (key.clone(), item[key].clone())).collect())),
    };
    let mut seen = std::collections::HashSet::new();
    for (i, item) in items.iter().enumerate() {
        if let Some(identity) = identity(item)
            && !seen.insert(identity.to_string())
        {
            let message = format!("Duplicate value: {identity}");
            causes.push(Cause::new("FieldValueDuplicate", path.index(i).as_str(), message));
        }
    }
}

fn junctors(value: &Value, schema: &Schema, path: &Path, causes: &mut Vec<Cause>) {
    let holds = |part: &Schema| {
        let mut found = Vec::new();
        node(value, part, path, &mut found);
        found.is_empty()
    };
    for part in &schema.all_of {
        node(value, part, path, causes);
    }
    let mut complain = |why: &str| causes.push(Cause::invalid(path.as_str(), &shown(value), why));
    if !schema.any_of.is_empty() && !schema.any_of.iter().any(holds) {
        complain("must validate at least one schema (anyOf)");
    }
    if !schema.one_of.is_empty() && schema.one_of.iter().filter(|part| holds(part)).count() != 1 {
        complain("must validate one and only one schema (oneOf)");
    }
    if schema.not.as_ref().is_some_and(|part| holds(part)) {
        complain("must not validate the schema (not)");
    }
}
