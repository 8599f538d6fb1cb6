//! Events are news: after an hour without a change they go, as on a real server.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::core::Core;
use crate::deletion::{self, DeleteOptions};
use crate::object;

/// Seconds.
const KEPT: i64 = 3600;

pub(super) fn expire(core: &Core) {
    let Some(events) = core.registry.get("", "v1", "events") else { return };
    let oldest = Timestamp::now().as_second() - KEPT;
    for event in core.store.list(&events.storage, None).0 {
        if last_change(&event).is_some_and(|time| time.as_second() < oldest) {
            let (namespace, name) = (object::namespace(&event), object::name(&event));
            if let Err(error) = deletion::delete(core, &events, namespace, name, &DeleteOptions::default())
                && error.code != 404
            {
                tracing::warn!(%error, name, "old event not deleted");
            }
        }
    }
}

fn last_change(event: &Value) -> Option<Timestamp> {
    let paths: [&[&str]; 5] = [
        &["series", "lastObservedTime"],
        &["lastTimestamp"],
        &["eventTime"],
        &["firstTimestamp"],
        &["metadata", "creationTimestamp"],
    ];
    paths.iter().filter_map(|path| object::str_at(event, path).parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_latest_of_an_events_times_counts() {
        let event = json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "lastTimestamp": null,
            "series": {"lastObservedTime": "2026-01-02T00:00:00.5Z"},
        });
        assert_eq!(super::last_change(&event).unwrap().to_string(), "2026-01-02T00:00:00.5Z");
        assert_eq!(super::last_change(&json!({})), None);
    }
}
