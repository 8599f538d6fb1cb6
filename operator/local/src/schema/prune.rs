//! Takes away the fields a structural schema does not know, and names them.

use serde_json::Value;

use super::{Path, Schema};

/// Prunes a custom resource; returns the paths of what was taken away. `metadata`, `apiVersion` and `kind` of the
/// root are not the schema's concern.
pub(crate) fn prune(object: &mut Value, schema: &Schema) -> Vec<String> {
    let mut pruned = Vec::new();
    node(object, schema, &Path::default(), true, &mut pruned);
    pruned
}

fn node(value: &mut Value, schema: &Schema, path: &Path, is_resource: bool, pruned: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let own = |name: &str| is_resource && matches!(name, "apiVersion" | "kind" | "metadata");
            fields.retain(|name, _| {
                let known = own(name) || schema.keeps_unknown() || schema.field(name).is_some();
                if !known {
                    pruned.push(path.field(name).as_str().to_owned());
                }
                known
            });
            for (name, child) in fields.iter_mut().filter(|(name, _)| !own(name)) {
                if let Some(below) = schema.field(name) {
                    node(child, below, &path.child(schema, name), below.embedded_resource, pruned);
                }
            }
        }
        Value::Array(items) => {
            if let Some(below) = &schema.items {
                for (i, item) in items.iter_mut().enumerate() {
                    node(item, below, &path.index(i), below.embedded_resource, pruned);
                }
            }
        }
        _ => {}
    }
}
