//! `x-kubernetes-validations`: rules in the Common Expression Language, including transition rules.
//!
//! Evaluation walks object and schema together; a rule sees the value of its own node as `self` and, on an update,
//! the value that was there before as `oldSelf`.

use cel::{Context, Program};
use serde_json::Value;

use super::cel_functions::add_functions;
use super::cel_values::to_cel;
use super::{ListType, Path, Schema, shown};
use crate::errors::Cause;

/// One compiled rule.
#[derive(Debug)]
pub(crate) struct Rule {
    source: String,
    program: Program,
    message: Option<String>,
    message_expression: Option<Program>,
    reason: &'static str,
    /// Below the node, the field that the complaint is about.
    field_path: Option<String>,
    /// Mentions `oldSelf`: evaluated on updates only, unless `optionalOldSelf`.
    transition: bool,
    optional_old_self: bool,
}

impl Rule {
    /// Compiles an entry of `x-kubernetes-validations`; the error says what is wrong with it.
    pub fn compile(json: &Value) -> Result<Self, String> {
        let source = json["rule"].as_str().unwrap_or("").trim().to_owned();
        if source.is_empty() {
            return Err("rule is not specified".to_owned());
        }
        let compile = |text: &str| Program::compile(text).map_err(|error| format!("compilation failed: {error}"));
        let program = compile(&source)?;
        let message_expression = json["messageExpression"].as_str().map(compile).transpose()?;
        let reason = match json["reason"].as_str() {
            Some("FieldValueForbidden") => "FieldValueForbidden",
            Some("FieldValueRequired") => "FieldValueRequired",
            Some("FieldValueDuplicate") => "FieldValueDuplicate",
            _ => "FieldValueInvalid",
        };
        Ok(Self {
            transition: program.references().has_variable("oldSelf"),
            program,
            source,
            message: json["message"].as_str().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()),
            message_expression,
            reason,
            field_path: json["fieldPath"].as_str().map(str::to_owned),
            optional_old_self: json["optionalOldSelf"].as_bool().unwrap_or(false),
        })
    }

    /// The complaint, unless the rule holds.
    fn check(&self, context: &Context<'_>, value: &Value, path: &Path) -> Option<Cause> {
        let at = match &self.field_path {
            Some(field) => format!("{}{field}", path.as_str()).trim_start_matches('.').to_owned(),
            None => path.as_str().to_owned(),
        };
        let message = match self.program.execute(context) {
            Ok(cel::Value::Bool(true)) => return None,
            Ok(cel::Value::Bool(false)) => self.message(context),
            Ok(_) => format!("rule evaluation error: {}: did not yield a boolean", self.source),
            Err(error) => format!("rule evaluation error: {}: {error}", self.source),
        };
        Some(match self.reason {
            "FieldValueForbidden" => Cause::new(self.reason, at, format!("Forbidden: {message}")),
            "FieldValueRequired" => Cause::new(self.reason, at, format!("Required value: {message}")),
            "FieldValueDuplicate" => {
                Cause::new(self.reason, at, format!("Duplicate value: {}: {message}", shown(value)))
            }
            // What is wrong with a whole object or list is not shown by printing it.
            _ if value.is_object() || value.is_array() => {
                Cause::new(self.reason, at, format!("Invalid value: {message}"))
            }
            _ => Cause::invalid(at, &shown(value), &message),
        })
    }

    fn message(&self, context: &Context<'_>) -> String {
        if let Some(expression) = &self.message_expression
            && let Ok(cel::Value::String(text)) = expression.execute(context)
            && !text.trim().is_empty()
        {
            return text.trim().to_owned();
        }
        self.message.clone().unwrap_or_else(|| format!("failed rule: {}", self.source))
    }
}

/// Evaluates every rule of the schema; `old` is the object before an update.
pub(crate) fn check(object: &Value, old: Option<&Value>, schema: &Schema) -> Vec<Cause> {
    let mut causes = Vec::new();
    node(object, old, schema, &Path::default(), &mut causes);
    causes
}

fn node(value: &Value, old: Option<&Value>, schema: &Schema, path: &Path, causes: &mut Vec<Cause>) {
    if value.is_null() {
        return;
    }
    if !schema.rules.is_empty() {
        rules(value, old, schema, path, causes);
    }
    match value {
        Value::Object(fields) => {
            for (name, child) in fields {
                if let Some(below) = schema.field(name) {
                    let before = old.and_then(|old| old.get(name));
                    node(child, before, below, &path.child(schema, name), causes);
                }
            }
        }
        Value::Array(items) => {
            if let Some(below) = &schema.items {
                for (i, item) in items.iter().enumerate() {
                    let before = old.and_then(|old| same_item(item, old, &schema.list_type));
                    node(item, before, below, &path.index(i), causes);
                }
            }
        }
        _ => {}
    }
}

fn rules(value: &Value, old: Option<&Value>, schema: &Schema, path: &Path, causes: &mut Vec<Cause>) {
    let mut context = Context::default();
    add_functions(&mut context);
    context.add_variable_from_value("self", to_cel(value, Some(schema)));
    let old_value = old.map(|old| to_cel(old, Some(schema)));
    for rule in &schema.rules {
        if !rule.transition {
            causes.extend(rule.check(&context, value, path));
            continue;
        }
        let mut scope = context.new_inner_scope();
        match (&old_value, rule.optional_old_self) {
            (Some(old), false) => scope.add_variable_from_value("oldSelf", old.clone()),
            (None, false) => continue,
            (old, true) => scope.add_variable_from_value("oldSelf", super::cel_values::optional(old.clone())),
        }
        causes.extend(rule.check(&scope, value, path));
    }
}

/// The item of the old list that is the same one; only the items of a map list have an identity.
fn same_item<'a>(item: &Value, old: &'a Value, list_type: &ListType) -> Option<&'a Value> {
    let ListType::Map(keys) = list_type else { return None };
    old.as_array()?.iter().find(|before| keys.iter().all(|key| before.get(key) == item.get(key)))
}
