//! Fills in the defaults of a structural schema.

use serde_json::Value;

use super::Schema;

/// Sets every missing field that has a default, from the outside in: a defaulted object gets its own defaults too.
/// A null where the schema forbids one counts as missing and goes.
pub(crate) fn fill(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, child| !child.is_null() || schema.field(name).is_none_or(|below| below.nullable));
            for (name, below) in &schema.properties {
                if let Some(default) = &below.default
                    && !fields.contains_key(name)
                {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, child) in fields.iter_mut() {
                if let Some(below) = schema.field(name) {
                    fill(child, below);
                }
            }
        }
        Value::Array(items) => {
            if let Some(below) = &schema.items {
                items.iter_mut().for_each(|item| fill(item, below));
            }
        }
        _ => {}
    }
}
