//! What a value is to a merge: a granular or atomic map, a list with keys, a set, or a leaf.

use serde_json::{Map, Value};

use super::FieldSet;
use super::builtin_lists::{self, Merge};
use crate::resources::Resource;
use crate::schema::{ListType, Schema};

/// The place of a value within its kind.
#[derive(Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// In a custom resource, below a node of its schema.
    Custom { schema: &'a Schema, root: bool },
    /// In a built-in kind (or any kind's metadata): the field, and the one that holds it.
    BuiltIn { parent: &'a str, field: &'a str },
    /// Where no schema reaches.
    Unknown,
}

impl<'a> Shape<'a> {
    pub fn of(resource: &'a Resource) -> Self {
        match &resource.custom {
            Some(custom) => Self::Custom { schema: &custom.schema, root: true },
            None => Self::BuiltIn { parent: "", field: "" },
        }
    }

    pub fn field(self, name: &'a str) -> Self {
        match self {
            Self::Custom { root: true, .. } if name == "metadata" => Self::BuiltIn { parent: "", field: name },
            Self::Custom { schema, .. } => {
                schema.field(name).map_or(Self::Unknown, |schema| Self::Custom { schema, root: false })
            }
            Self::BuiltIn { field, .. } => Self::BuiltIn { parent: field, field: name },
            Self::Unknown => Self::Unknown,
        }
    }

    pub fn item(self) -> Self {
        match self {
            Self::Custom { schema, .. } => {
                schema.items.as_deref().map_or(Self::Unknown, |schema| Self::Custom { schema, root: false })
            }
            same => same,
        }
    }

    pub fn is_granular_map(self) -> bool {
        match self {
            Self::Custom { schema, .. } => !schema.atomic_map,
            Self::BuiltIn { field, .. } => !builtin_lists::is_atomic_map(field),
            Self::Unknown => true,
        }
    }

    /// The path elements of a list's items, if every one has an identity; `None` for an atomic list.
    pub fn identities(self, items: &[Value]) -> Option<Vec<String>> {
        items.iter().map(|item| self.identity(item)).collect()
    }

    /// Have this list's items an identity at all?
    pub fn is_granular_list(self) -> bool {
        match self {
            Self::Custom { schema, .. } => schema.list_type != ListType::Atomic,
            Self::BuiltIn { parent, field } => builtin_lists::of(parent, field) != Merge::Atomic,
            Self::Unknown => false,
        }
    }

    fn identity(self, item: &Value) -> Option<String> {
        match self {
            Self::Custom { schema, .. } => match &schema.list_type {
                ListType::Atomic => None,
                ListType::Set => Some(format!("v:{item}")),
                ListType::Map(keys) => {
                    let default = |key: &str| schema.items.as_deref()?.field(key)?.default.clone();
                    by_keys(item, keys.iter().map(String::as_str), default)
                }
            },
            Self::BuiltIn { parent, field } => match builtin_lists::of(parent, field) {
                Merge::Atomic => None,
                Merge::Set => Some(format!("v:{item}")),
                Merge::ByKeys(keys) => {
                    by_keys(item, keys.iter().copied(), |key| builtin_lists::key_default(key).map(Value::from))
                }
            },
            Self::Unknown => None,
        }
    }

    /// The paths of everything that `value` says. Items of granular lists are paths of their own.
    pub fn fields_of(self, value: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        match value {
            Value::Object(fields) if !fields.is_empty() && self.is_granular_map() => {
                for (name, child) in fields {
                    set.children.insert(format!("f:{name}"), self.field(name).fields_of(child));
                }
            }
            Value::Array(items) if !items.is_empty() && self.is_granular_list() => match self.identities(items) {
                Some(identities) => {
                    for (identity, item) in identities.into_iter().zip(items) {
                        let mut below =
                            if identity.starts_with('v') { FieldSet::default() } else { self.item().fields_of(item) };
                        below.member = true;
                        set.children.insert(identity, below);
                    }
                }
                None => set.member = true,
            },
            _ => set.member = true,
        }
        set
    }
}

fn by_keys<'k>(
    item: &Value,
    keys: impl Iterator<Item = &'k str>,
    default: impl Fn(&str) -> Option<Value>,
) -> Option<String> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    let mut identity = Map::new();
    for key in keys {
        let value = item.get(key).filter(|value| !value.is_null()).cloned().or_else(|| default(key))?;
        identity.insert(key.to_owned(), value);
    }
    Some(format!("k:{}", Value::Object(identity)))
}
