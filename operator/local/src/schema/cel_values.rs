//! JSON to CEL values by the schema's types: an `integer` is an int, a `number` a double, whatever JSON wrote.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map, OptionalValue};
use serde_json::Value;

use super::{Schema, Type};

/// Words that CEL reserves: a field of that name is written between double underscores.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

pub(super) fn to_cel(value: &Value, schema: Option<&Schema>) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => cel::Value::Bool(*b),
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Number(n) => {
            let double = schema.is_some_and(|s| s.kind == Some(Type::Number));
            match n.as_i64() {
                Some(int) if !double => cel::Value::Int(int),
                _ => cel::Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            }
        }
        Value::Array(items) => {
            let below = schema.and_then(|s| s.items.as_deref());
            cel::Value::List(Arc::new(items.iter().map(|item| to_cel(item, below)).collect()))
        }
        Value::Object(fields) => {
            let mut map = HashMap::with_capacity(fields.len());
            for (name, child) in fields {
                let declared = schema.is_some_and(|s| s.properties.contains_key(name));
                let key = if declared { escape(name) } else { name.clone() };
                map.insert(Key::from(key), to_cel(child, schema.and_then(|s| s.field(name))));
            }
            cel::Value::Map(Map { map: Arc::new(map) })
        }
    }
}

/// A CEL optional.
pub(super) fn optional(value: Option<cel::Value>) -> cel::Value {
    cel::Value::Opaque(Arc::new(value.map_or_else(OptionalValue::none, OptionalValue::of)))
}

/// The identifier by which a rule names a declared field.
fn escape(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    let escaped = name.replace("__", "__underscores__");
    escaped.replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_that_are_no_identifiers_are_escaped() {
        assert_eq!(super::escape("namespace"), "__namespace__");
        assert_eq!(super::escape("a-b.c/d"), "a__dash__b__dot__c__slash__d");
        assert_eq!(super::escape("a__b"), "a__underscores__b");
        assert_eq!(super::escape("plain"), "plain");
    }
}
