//! The limits of one node: numbers, strings, sizes, choices and formats.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{Path, Schema, shown};
use crate::errors::Cause;

pub(super) fn check(value: &Value, schema: &Schema, path: &Path, causes: &mut Vec<Cause>) {
    match value {
        Value::Number(_) => number(value, schema, path, causes),
        Value::String(text) => string(text, schema, path, causes),
        Value::Array(items) => array(items, schema, path, causes),
        Value::Object(fields) => {
            let limits = &schema.limits;
            size(fields.len(), limits.min_properties, limits.max_properties, "properties", value, path, causes);
        }
        Value::Null | Value::Bool(_) => {}
    }
    let choices = &schema.limits.choices;
    if !choices.is_empty() && !choices.contains(value) {
        let list: Vec<_> = choices.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {}: supported values: {}", shown(value), list.join(", "));
        causes.push(Cause::new("FieldValueNotSupported", path.as_str(), message));
    }
}

fn number(value: &Value, schema: &Schema, path: &Path, causes: &mut Vec<Cause>) {
    let (limits, Some(given)) = (&schema.limits, value.as_f64()) else { return };
    let mut complain = |why: String| causes.push(Cause::invalid(path.as_str(), &value.to_string(), &why));
    let at = path.as_str();
    match limits.minimum {
        Some(least) if limits.exclusive_minimum && given <= least => {
            complain(format!("{at} in body should be greater than {least}"))
        }
        Some(least) if given < least => complain(format!("{at} in body should be greater than or equal to {least}")),
        _ => {}
    }
    match limits.maximum {
        Some(most) if limits.exclusive_maximum && given >= most => {
            complain(format!("{at} in body should be less than {most}"))
        }
        Some(most) if given > most => complain(format!("{at} in body should be less than or equal to {most}")),
        _ => {}
    }
    if let Some(step) = limits.multiple_of
        && (given / step).fract() != 0.0
    {
        complain(format!("{at} in body should be a multiple of {step}"));
    }
    let fits = match schema.format.as_str() {
        "int32" => given >= f64::from(i32::MIN) && given <= f64::from(i32::MAX),
        "int64" => value.is_i64() || value.is_f64(),
        _ => true,
    };
    if !fits {
        complain(format!("{at} in body must be of type {}: {value}", schema.format));
    }
}

fn string(text: &str, schema: &Schema, path: &Path, causes: &mut Vec<Cause>) {
    let (limits, at) = (&schema.limits, path.as_str());
    let quoted = format!("{text:?}");
    let mut complain = |why: String| causes.push(Cause::invalid(at, &quoted, &why));
    let length = text.chars().count() as u64;
    if let Some(least) = limits.min_length.filter(|least| length < *least) {
        complain(format!("{at} in body should be at least {least} chars long"));
    }
    if let Some(pattern) = limits.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        complain(format!("{at} in body should match '{pattern}'"));
    }
    if schema.format == "date-time" && text.parse::<Timestamp>().is_err() {
        complain(format!("{at} in body must be of type date-time: {quoted}"));
    }
    if schema.format == "uuid" && uuid::Uuid::parse_str(text).is_err() {
        complain(format!("{at} in body must be of type uuid: {quoted}"));
    }
    if let Some(most) = limits.max_length.filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause::new("FieldValueTooLong", at, message));
    }
}

fn array(items: &[Value], schema: &Schema, path: &Path, causes: &mut Vec<Cause>) {
    let limits = &schema.limits;
    let value = Value::Array(Vec::new());
    size(items.len(), limits.min_items, limits.max_items, "items", &value, path, causes);
    let repeats = |i: usize| items[..i].contains(&items[i]);
    if limits.unique_items && (1..items.len()).any(repeats) {
        let why = format!("{} in body shouldn't contain duplicates", path.as_str());
        causes.push(Cause::invalid(path.as_str(), "\"array\"", &why));
    }
}

fn size(
    given: usize,
    least: Option<u64>,
    most: Option<u64>,
    what: &str,
    value: &Value,
    path: &Path,
    causes: &mut Vec<Cause>,
) {
    let at = path.as_str();
    if let Some(least) = least.filter(|least| (given as u64) < *least) {
        causes.push(Cause::invalid(at, &shown(value), &format!("{at} in body should have at least {least} {what}")));
    }
    if let Some(most) = most.filter(|most| given as u64 > *most) {
        let message = format!("Too many: {given}: must have at most {most} {what}");
        causes.push(Cause::new("FieldValueTooMany", at, message));
    }
}
