//! `metadata.managedFields`: read, kept up to date by each write, written back.

use serde_json::{Map, Value, json};

use super::compare::compare;
use super::{FieldSet, Shape};
use crate::object;

/// The metadata that the server itself sets.
const SERVERS_OWN: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// Who writes, and through which door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    /// `status`, `scale`, or empty.
    pub subresource: String,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub writer: Writer,
    pub time: String,
    pub fields: FieldSet,
}

/// The managers of one object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Managers(pub(super) Vec<Entry>);

impl Managers {
    pub fn of(object: &Value) -> Self {
        let entries = object::list_at(object, &["metadata", "managedFields"]).iter();
        Self(entries.filter(|entry| entry.is_object()).map(parse).collect())
    }

    pub fn write(&self, object: &mut Value) {
        let entries: Vec<_> = self.0.iter().filter(|entry| !entry.fields.is_empty()).map(to_json).collect();
        let metadata = object::meta_mut(object);
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), entries.into());
        }
    }

    /// Records an ordinary write: what it changed is the writer's now, and what it removed is nobody's.
    pub fn record_update(&mut self, old: &Value, new: &Value, shape: Shape<'_>, writer: &Writer) {
        let difference = compare(&owned_part(old), &owned_part(new), shape);
        for entry in &mut self.0 {
            entry.fields.subtract(&difference.removed);
            if entry.writer != *writer {
                entry.fields.subtract(&difference.changed);
            }
        }
        if !difference.changed.is_empty() {
            let entry = self.entry(writer);
            entry.fields.union(&difference.changed);
            entry.time = object::now_seconds();
        }
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    pub(super) fn entry(&mut self, writer: &Writer) -> &mut Entry {
        let at = self.0.iter().position(|entry| entry.writer == *writer).unwrap_or_else(|| {
            let (time, fields) = (object::now_seconds(), FieldSet::default());
            self.0.push(Entry { writer: writer.clone(), time, fields });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Do both name the same owners of the same fields, whenever they were written?
    pub fn same_owners(&self, other: &Managers) -> bool {
        let same = |(a, b): (&Entry, &Entry)| a.writer == b.writer && a.fields == b.fields;
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

/// The part of an object whose fields have owners: not what the server itself sets.
pub(super) fn owned_part(object: &Value) -> Value {
    let but = |fields: &Map<String, Value>, left_out: &[&str]| -> Map<String, Value> {
        let kept = fields.iter().filter(|(name, _)| !left_out.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let Some(fields) = object.as_object() else { return json!({}) };
    let mut part = but(fields, &["apiVersion", "kind", "metadata"]);
    let metadata = fields.get("metadata").and_then(Value::as_object).map(|metadata| but(metadata, &SERVERS_OWN));
    if let Some(metadata) = metadata.filter(|metadata| !metadata.is_empty()) {
        part.insert("metadata".to_owned(), metadata.into());
    }
    part.into()
}

fn parse(entry: &Value) -> Entry {
    let text = |field: &str| entry[field].as_str().unwrap_or("").to_owned();
    let operation = if entry["operation"] == "Apply" { Operation::Apply } else { Operation::Update };
    Entry {
        writer: Writer {
            manager: text("manager"),
            operation,
            api_version: text("apiVersion"),
            subresource: text("subresource"),
        },
        time: text("time"),
        fields: root(entry),
    }
}

fn root(entry: &Value) -> FieldSet {
    // The root is never a member: an empty FieldsV1 owns nothing.
    FieldSet { member: false, ..entry.get("fieldsV1").map(FieldSet::parse).unwrap_or_default() }
}

fn to_json(entry: &Entry) -> Value {
    let operation = if entry.writer.operation == Operation::Apply { "Apply" } else { "Update" };
    let mut json = json!({
        "manager": entry.writer.manager, "operation": operation, "apiVersion": entry.writer.api_version,
        "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_json(),
    });
    if !entry.writer.subresource.is_empty() {
        json["subresource"] = entry.writer.subresource.as_str().into();
    }
    json
}
