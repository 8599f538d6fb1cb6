//! What a write changed, as paths.

use serde_json::Value;

use super::{FieldSet, Shape};

/// The difference between two versions of an object.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Added, or with another value than before.
    pub changed: FieldSet,
    pub removed: FieldSet,
}

pub(super) fn compare(old: &Value, new: &Value, shape: Shape<'_>) -> Difference {
    let mut difference = Difference::default();
    walk(Some(old), Some(new), shape, &mut difference.changed, &mut difference.removed);
    difference
}

fn walk(old: Option<&Value>, new: Option<&Value>, shape: Shape<'_>, changed: &mut FieldSet, removed: &mut FieldSet) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) if shape.is_granular_map() => {
            let added = after.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(added) {
                descend(&format!("f:{name}"), before.get(name), after.get(name), shape.field(name), changed, removed);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if shape.is_granular_list() => {
            let (Some(old_ids), Some(new_ids)) = (shape.identities(before), shape.identities(after)) else {
                changed.union(&shape.fields_of(&Value::Array(after.clone())));
                return;
            };
            let added = new_ids.iter().filter(|id| !old_ids.contains(id));
            for id in old_ids.iter().chain(added) {
                let find = |ids: &[String]| ids.iter().position(|other| other == id);
                let (old, new) = (find(&old_ids).map(|i| &before[i]), find(&new_ids).map(|i| &after[i]));
                if old.is_none() {
                    changed.children.entry(id.clone()).or_default().member = true;
                }
                if new.is_none() {
                    removed.children.entry(id.clone()).or_default().member = true;
                }
                if !id.starts_with('v') {
                    descend(id, old, new, shape.item(), changed, removed);
                }
            }
        }
        (old, new) => {
            let (gone, come) = (old.map(|v| shape.fields_of(v)), new.map(|v| shape.fields_of(v)));
            if let Some(mut gone) = gone {
                come.iter().for_each(|come| gone.subtract(come));
                removed.union(&gone);
            }
            come.iter().for_each(|come| changed.union(come));
        }
    }
}

fn descend(
    element: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    shape: Shape<'_>,
    changed: &mut FieldSet,
    removed: &mut FieldSet,
) {
    let (mut changed_below, mut removed_below) = (FieldSet::default(), FieldSet::default());
    walk(old, new, shape, &mut changed_below, &mut removed_below);
    for (below, set) in [(changed_below, changed), (removed_below, removed)] {
        if !below.is_empty() {
            set.children.entry(element.to_owned()).or_default().union(&below);
        }
    }
}
