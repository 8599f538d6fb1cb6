//! From the JSON of `openAPIV3Schema` to a [`Schema`], with the structural rules checked.

use regex::Regex;
use serde_json::Value;

use super::cel::Rule;
use super::{Additional, Limits, ListType, Path, Schema, Type};
use crate::errors::Cause;

/// A schema nested deeper than this is refused.
const DEEPEST: usize = 64;

/// Parses a schema found at `path` of a definition; every violation is a cause.
pub(crate) fn parse(json: &Value, path: &Path) -> Result<Schema, Vec<Cause>> {
    let mut parser = Parser { causes: Vec::new() };
    let schema = parser.node(json, path, Place::Structural, 0);
    if parser.causes.is_empty() { Ok(schema) } else { Err(parser.causes) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the tree of properties and items, where every node needs a type.
    Structural,
    /// Below `allOf`, `anyOf`, `oneOf` or `not`: value validations only.
    Junctor,
}

struct Parser {
    causes: Vec<Cause>,
}

impl Parser {
    fn complain(&mut self, path: &Path, field: &str, shown: &str, why: &str) {
        self.causes.push(Cause::invalid(path.field(field).as_str(), shown, why));
    }

    fn node(&mut self, json: &Value, path: &Path, place: Place, depth: usize) -> Schema {
        let mut schema = Schema::default();
        if depth > DEEPEST {
            self.complain(path, "properties", "\"object\"", "is nested too deeply");
            return schema;
        }
        let flag = |name: &str| json[name].as_bool().unwrap_or(false);
        schema.nullable = flag("nullable");
        schema.int_or_string = flag("x-kubernetes-int-or-string");
        schema.preserve_unknown = flag("x-kubernetes-preserve-unknown-fields");
        schema.embedded_resource = flag("x-kubernetes-embedded-resource");
        schema.atomic_map = json["x-kubernetes-map-type"] == "atomic";
        schema.format = json["format"].as_str().unwrap_or("").to_owned();
        schema.default = json.get("default").cloned();
        schema.kind = self.kind(json, path, place, &schema);
        schema.required = strings(&json["required"]);
        schema.list_type = self.list_type(json, path);
        schema.limits = self.limits(json, path);
        schema.rules = self.rules(json, path);
        self.children(json, path, place, depth, &mut schema);
        schema
    }

    fn kind(&mut self, json: &Value, path: &Path, place: Place, schema: &Schema) -> Option<Type> {
        match json["type"].as_str() {
            Some("object") => Some(Type::Object),
            Some("array") => Some(Type::Array),
            Some("string") => Some(Type::String),
            Some("integer") => Some(Type::Integer),
            Some("number") => Some(Type::Number),
            Some("boolean") => Some(Type::Boolean),
            Some(other) => {
                self.complain(path, "type", &format!("\"{other}\""), "is not a known type");
                None
            }
            None => {
                if place == Place::Structural && !schema.int_or_string && !schema.preserve_unknown {
                    let why = "must not be empty for specified object fields";
                    self.causes.push(Cause::required(path.field("type").as_str(), why));
                }
                None
            }
        }
    }

    fn children(&mut self, json: &Value, path: &Path, place: Place, depth: usize, schema: &mut Schema) {
        for (name, property) in json["properties"].as_object().into_iter().flatten() {
            let parsed = self.node(property, &path.field("properties").key(name), place, depth + 1);
            schema.properties.insert(name.clone(), parsed);
        }
        schema.additional = match &json["additionalProperties"] {
            Value::Bool(true) => Additional::Any,
            Value::Object(_) => {
                let parsed =
                    self.node(&json["additionalProperties"], &path.field("additionalProperties"), place, depth + 1);
                Additional::Schema(Box::new(parsed))
            }
            _ => Additional::Absent,
        };
        if json["items"].is_object() {
            schema.items = Some(Box::new(self.node(&json["items"], &path.field("items"), place, depth + 1)));
        } else if schema.kind == Some(Type::Array) && place == Place::Structural {
            self.causes.push(Cause::required(path.field("items").as_str(), "must be specified"));
        }
        let mut junctor = |field: &str| -> Vec<Schema> {
            let list = json[field].as_array().into_iter().flatten().enumerate();
            list.map(|(i, part)| self.node(part, &path.field(field).index(i), Place::Junctor, depth + 1)).collect()
        };
        schema.all_of = junctor("allOf");
        schema.any_of = junctor("anyOf");
        schema.one_of = junctor("oneOf");
        if json["not"].is_object() {
            schema.not = Some(Box::new(self.node(&json["not"], &path.field("not"), Place::Junctor, depth + 1)));
        }
    }

    fn list_type(&mut self, json: &Value, path: &Path) -> ListType {
        match json["x-kubernetes-list-type"].as_str() {
            None | Some("atomic") => ListType::Atomic,
            Some("set") => ListType::Set,
            Some("map") => {
                let keys = strings(&json["x-kubernetes-list-map-keys"]);
                if keys.is_empty() {
                    let field = path.field("x-kubernetes-list-map-keys");
                    self.causes
                        .push(Cause::required(field.as_str(), "must not be empty if x-kubernetes-list-type is map"));
                }
                ListType::Map(keys)
            }
            Some(other) => {
                let why = "must be one of atomic, set, map";
                self.complain(path, "x-kubernetes-list-type", &format!("\"{other}\""), why);
                ListType::Atomic
            }
        }
    }

    fn limits(&mut self, json: &Value, path: &Path) -> Limits {
        let number = |field: &str| json[field].as_f64();
        let count = |field: &str| json[field].as_u64();
        let flag = |field: &str| json[field].as_bool().unwrap_or(false);
        let pattern = json["pattern"].as_str().and_then(|pattern| match Regex::new(pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                self.complain(
                    path,
                    "pattern",
                    &format!("{pattern:?}"),
                    &format!("must be a valid regular expression: {error}"),
                );
                None
            }
        });
        Limits {
            choices: json["enum"].as_array().cloned().unwrap_or_default(),
            pattern,
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: flag("uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
        }
    }

    fn rules(&mut self, json: &Value, path: &Path) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (i, rule) in json["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
            match Rule::compile(rule) {
                Ok(rule) => rules.push(rule),
                Err(why) => {
                    let at = path.field("x-kubernetes-validations").index(i);
                    self.complain(&at, "rule", &rule["rule"].to_string(), &why);
                }
            }
        }
        rules
    }
}

fn strings(json: &Value) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
