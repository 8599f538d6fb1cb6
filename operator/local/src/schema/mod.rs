//! Structural schemas of custom resources (the OpenAPI v3 subset that definitions may use).
//!
//! Parsed once when a definition is installed; the steps over an object — prune, default, validate, CEL — are one
//! module each and only read this tree.

pub(crate) mod cel;
mod cel_functions;
mod cel_quantity;
mod cel_values;
pub(crate) mod default;
mod parse;
pub(crate) mod prune;
mod scalar;
pub(crate) mod validate;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

pub(crate) use parse::parse;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// What `additionalProperties` allows.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    /// Not given: unknown fields are pruned.
    #[default]
    Absent,
    /// `true`: anything.
    Any,
    Schema(Box<Schema>),
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    /// Items are told apart by these fields.
    Map(Vec<String>),
}

/// One node of a schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// `None` for int-or-string and for nodes that accept anything.
    pub kind: Option<Type>,
    pub format: String,
    pub nullable: bool,
    pub int_or_string: bool,
    pub preserve_unknown: bool,
    pub embedded_resource: bool,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Additional,
    pub items: Option<Box<Schema>>,
    pub required: Vec<String>,
    pub default: Option<Value>,
    pub list_type: ListType,
    pub atomic_map: bool,
    pub limits: Limits,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
    pub rules: Vec<cel::Rule>,
}

/// The value validations of one node.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub choices: Vec<Value>,
    pub pattern: Option<Regex>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub exclusive_minimum: bool,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub unique_items: bool,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
}

impl Schema {
    /// The schema of a field, whether declared or allowed by `additionalProperties`.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            Additional::Absent | Additional::Any => None,
        })
    }

    /// Are fields that no property declares kept?
    pub fn keeps_unknown(&self) -> bool {
        self.preserve_unknown || matches!(self.additional, Additional::Any) || (self.kind.is_none() && self.is_bare())
    }

    /// A node that says nothing about fields, as below `allOf`.
    fn is_bare(&self) -> bool {
        self.properties.is_empty() && self.items.is_none() && matches!(self.additional, Additional::Absent)
    }
}

/// A field path in Kubernetes' notation: `spec.listeners[0].name`, `spec.config[a.b]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path(String);

impl Path {
    pub fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// A key of a map rather than a declared field.
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The child named by `name` of an object with this schema.
    pub fn child(&self, schema: &Schema, name: &str) -> Self {
        let declared = schema.properties.contains_key(name) || !matches!(schema.additional, Additional::Schema(_));
        if declared { self.field(name) } else { self.key(name) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a value is shown in an error: `"text"`, `3`, or for compound values their type.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "\"object\"".to_owned(),
        Value::Array(_) => "\"array\"".to_owned(),
        Value::Null => "\"null\"".to_owned(),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests;
