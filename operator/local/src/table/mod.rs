//! `Accept: application/json;as=Table`: what `kubectl get` prints.

mod age;
mod builtin;
mod cluster;
mod jsonpath;
mod pods;
mod workloads;

use serde_json::{Value, json};

use crate::handlers::partial;
use crate::object;
use crate::resources::Resource;
use crate::resources::column::Column;

/// The table of some objects; each row carries its object, whole or only its metadata.
pub(crate) fn table(resource: &Resource, objects: &[Value], metadata: Value, whole: bool) -> Value {
    let row = |object: &Value| {
        let cells = match &resource.custom {
            Some(custom) => custom_cells(&custom.columns, object),
            None => builtin::cells(resource, object),
        };
        let carried = if whole { object.clone() } else { partial(object) };
        json!({"cells": cells, "object": carried})
    };
    let columns = match &resource.custom {
        Some(custom) => {
            let mut columns = vec![definition("Name", "string", "name", "Name of the object", 0)];
            columns.extend(
                custom.columns.iter().map(|c| definition(&c.name, &c.kind, &c.format, &c.description, c.priority)),
            );
            columns
        }
        None => {
            let columns = builtin::columns(resource);
            columns
                .into_iter()
                .map(|(name, wide)| definition(name, "string", name_format(name), "", i64::from(wide)))
                .collect()
        }
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

/// kubectl looks for the column of this format when it prints names.
fn name_format(column: &str) -> &'static str {
    if column == "Name" { "name" } else { "" }
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

fn custom_cells(columns: &[Column], object: &Value) -> Vec<Value> {
    let cell = |column: &Column| {
        let found = jsonpath::find(object, &column.path);
        let first = found.first()?;
        Some(match (column.kind.as_str(), first) {
            ("date", Value::String(time)) => age::since(time).into(),
            ("integer" | "number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("string", Value::String(_)) => {
                (*first).clone()
            }
            ("string", other) => other.to_string().into(),
            _ => return None,
        })
    };
    let name = Value::from(object::name(object));
    std::iter::once(name).chain(columns.iter().map(|column| cell(column).unwrap_or(Value::Null))).collect()
}
