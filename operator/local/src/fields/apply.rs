//! Server-side apply: an applier states all the fields it has an opinion on, and owns exactly those.

use serde_json::Value;

use super::compare::compare;
use super::managers::{Entry, Managers, owned_part};
use super::{FieldSet, Operation, Shape, Writer};
use crate::errors::{ApiError, Cause};
use crate::object;

/// Merges `config` into `live` and returns the result with its managers. Fields that this applier set before and
/// no longer states go, unless another manager owns them. Fields of others that would change are conflicts (409)
/// unless `force`, which takes them over.
pub(crate) fn apply(
    live: &Value,
    config: &Value,
    shape: Shape<'_>,
    writer: &Writer,
    force: bool,
) -> Result<(Value, Managers), ApiError> {
    let mut config = config.clone();
    drop_nulls(&mut config);
    let stated = FieldSet { member: false, ..shape.fields_of(&owned_part(&config)) };
    let mut merged = live.clone();
    merge(&mut merged, &config, shape);
    let mut managers = Managers::of(live);
    let before = managers.0.iter().find(|entry| entry.writer == *writer).map(|e| e.fields.clone()).unwrap_or_default();
    let mut kept = stated.clone();
    for entry in managers.0.iter().filter(|entry| entry.writer != *writer) {
        kept.union(&entry.fields);
    }
    remove_abandoned(&mut merged, &before, &kept, shape);

    let changed = compare(&owned_part(live), &owned_part(&merged), shape).changed.intersection(&stated);
    let mut causes = Vec::new();
    for entry in managers.0.iter_mut().filter(|entry| entry.writer != *writer) {
        let contested = entry.fields.intersection(&changed);
        if force {
            entry.fields.subtract(&contested);
        } else {
            causes.extend(contested.paths().into_iter().map(|path| conflict(entry, path)));
        }
    }
    if !causes.is_empty() {
        return Err(ApiError::apply_conflict(causes));
    }
    let own = managers.entry(writer);
    if own.fields != stated {
        own.fields = stated;
        own.time = object::now_seconds();
    }
    managers.0.retain(|entry| !entry.fields.is_empty());
    Ok((merged, managers))
}

fn conflict(owner: &Entry, path: String) -> Cause {
    let writer = &owner.writer;
    let mut who = format!("\"{}\"", writer.manager);
    if writer.operation == Operation::Update {
        if !writer.subresource.is_empty() {
            who.push_str(&format!(" with subresource \"{}\"", writer.subresource));
        }
        who.push_str(&format!(" using {}", writer.api_version));
        if !owner.time.is_empty() {
            who.push_str(&format!(" at {}", owner.time));
        }
    }
    Cause::new("FieldManagerConflict", path, format!("conflict with {who}"))
}

/// A null in an applied configuration is an opinion nobody can merge: as good as unsaid.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, child| !child.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn merge(live: &mut Value, config: &Value, shape: Shape<'_>) {
    match (live, config) {
        (Value::Object(target), Value::Object(fields)) if shape.is_granular_map() => {
            for (name, value) in fields {
                match target.get_mut(name) {
                    Some(current) => merge(current, value, shape.field(name)),
                    None => {
                        target.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(target), Value::Array(items)) if shape.is_granular_list() => {
            let (Some(ids), Some(new_ids)) = (shape.identities(target), shape.identities(items)) else {
                target.clone_from(items);
                return;
            };
            *target = merge_items(target, &ids, items, &new_ids, shape.item());
        }
        (live, config) => *live = config.clone(),
    }
}

/// The items of a list in the order of `config`; those that only `live` has come as early as what they were behind.
fn merge_items(live: &[Value], ids: &[String], config: &[Value], new_ids: &[String], shape: Shape<'_>) -> Vec<Value> {
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    let mut at = 0;
    for (turn, (id, item)) in new_ids.iter().zip(config).enumerate() {
        let next_shared = new_ids[turn..].iter().find(|id| ids.contains(id));
        while let Some(here) = ids.get(at).filter(|here| Some(*here) != next_shared) {
            if !new_ids.contains(here) {
                merged.push(live[at].clone());
            }
            at += 1;
        }
        let mut value = item.clone();
        if let Some(before) = ids.iter().position(|other| other == id) {
            value = live[before].clone();
            merge(&mut value, item, shape);
        }
        merged.push(value);
        at += usize::from(ids.get(at) == Some(id));
    }
    let rest = live.iter().zip(ids).skip(at).filter(|(_, id)| !new_ids.contains(id));
    merged.extend(rest.map(|(value, _)| value.clone()));
    merged
}

/// Takes away what the applier owned `before` where nobody is left who owns anything at or below it.
fn remove_abandoned(value: &mut Value, before: &FieldSet, kept: &FieldSet, shape: Shape<'_>) {
    match value {
        Value::Object(fields) => {
            for (element, owned) in &before.children {
                let Some(name) = element.strip_prefix("f:") else { continue };
                match (kept.children.get(element), fields.get_mut(name)) {
                    (None, _) => {
                        fields.remove(name);
                    }
                    (Some(kept), Some(child)) => remove_abandoned(child, owned, kept, shape.field(name)),
                    (Some(_), None) => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(ids) = shape.identities(items) else { return };
            let mut ids = ids.iter();
            items.retain_mut(|item| {
                let Some(id) = ids.next() else { return true };
                match (before.children.get(id), kept.children.get(id)) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(owned), Some(kept)) => {
                        remove_abandoned(item, owned, kept, shape.item());
                        true
                    }
                }
            });
        }
        _ => {}
    }
}
