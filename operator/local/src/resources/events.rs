//! Events exist under two groups with different field names; they are stored in the core form.

use serde_json::{Map, Value};

/// Fields that have another name under `events.k8s.io/v1`: (core, events.k8s.io).
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

pub(super) fn to_core(event: &Value) -> Value {
    let mut core = renamed(event, |name| RENAMED.iter().find(|(_, new)| *new == name).map(|(old, _)| *old));
    core.insert("apiVersion".to_owned(), "v1".into());
    core.insert("kind".to_owned(), "Event".into());
    Value::Object(core)
}

pub(super) fn to_events_group(event: &Value) -> Value {
    let mut new = renamed(event, |name| RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new));
    new.insert("apiVersion".to_owned(), "events.k8s.io/v1".into());
    new.insert("kind".to_owned(), "Event".into());
    Value::Object(new)
}

fn renamed(event: &Value, name_of: impl Fn(&str) -> Option<&'static str>) -> Map<String, Value> {
    let fields = event.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name_of(name).map_or_else(|| name.clone(), str::to_owned), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn an_event_is_the_same_under_both_groups() {
        let new = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "regarding": {"name": "p"},
            "note": "text", "reason": "Why", "type": "Normal", "reportingController": "c",
        });
        let core = super::to_core(&new);
        assert_eq!(core["involvedObject"]["name"], "p");
        assert_eq!(core["message"], "text");
        assert_eq!(core["apiVersion"], "v1");
        assert_eq!(super::to_events_group(&core), new);
    }
}
