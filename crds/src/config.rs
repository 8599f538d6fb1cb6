//! Kafka settings inside a spec: a map from Kafka's own names to plain values.
//!
//! The schema accepts text, numbers and booleans alike, because people write `min.insync.replicas: 2` and
//! `unclean.leader.election.enable: false` without quotes. Which names and values exist is the operator's to judge.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Settings by Kafka's own names, in a stable order.
pub type ConfigMapSpec = BTreeMap<String, ConfigValue>;

/// One setting's value as it stands in YAML: text, a number or a boolean.
///
/// Anything deserializes, so that one odd value can never make a whole list of objects unreadable; a value that is no
/// scalar has no [`text`](ConfigValue::text) and is refused by the operator with the key's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigValue(pub serde_json::Value);

impl ConfigValue {
    /// The value as Kafka writes it, or `None` for null, a list or a map.
    pub fn text(&self) -> Option<String> {
        match &self.0 {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Bool(flag) => Some(flag.to_string()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
        }
    }
}

impl From<&str> for ConfigValue {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl JsonSchema for ConfigValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ConfigValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(yaml: &str) -> ConfigValue {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn scalars_become_the_text_kafka_reads() {
        assert_eq!(value("2").text().as_deref(), Some("2"));
        assert_eq!(value("604800000").text().as_deref(), Some("604800000"));
        assert_eq!(value("-1").text().as_deref(), Some("-1"));
        assert_eq!(value("0.5").text().as_deref(), Some("0.5"));
        assert_eq!(value("false").text().as_deref(), Some("false"));
        assert_eq!(value("compact,delete").text().as_deref(), Some("compact,delete"));
    }

    #[test]
    fn null_lists_and_maps_read_but_have_no_text() {
        assert_eq!(value("null").text(), None);
        assert_eq!(value("[1]").text(), None);
        assert_eq!(value("{a: 1}").text(), None);
    }
}
