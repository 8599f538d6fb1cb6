//! A deleted namespace takes its objects with it, and goes when the last one has gone.

use serde_json::Value;

use crate::core::Core;
use crate::deletion::{self, DeleteOptions};
use crate::object;
use crate::writes;

pub(super) fn finish(core: &Core) {
    let Some(namespaces) = core.registry.get("", "v1", "namespaces") else { return };
    for namespace in core.store.list(&namespaces.storage, None).0 {
        if !object::is_terminating(&namespace) {
            continue;
        }
        if empty(core, object::name(&namespace)) && !object::list_at(&namespace, &["spec", "finalizers"]).is_empty() {
            let mut freed = (*namespace).clone();
            freed["spec"]["finalizers"] = Value::Array(Vec::new());
            if let Err(error) = writes::replace(core, &namespaces, &namespace, freed) {
                tracing::warn!(%error, name = object::name(&namespace), "namespace not removed");
            }
        }
    }
}

/// Deletes what is left in a namespace; true if that was nothing.
fn empty(core: &Core, namespace: &str) -> bool {
    let mut nothing_left = true;
    for storage in core.store.storages() {
        let Some(resource) = core.registry.by_storage(&storage).filter(|r| r.namespaced) else { continue };
        for object in core.store.list(&storage, Some(namespace)).0 {
            if object::is_terminating(&object) {
                nothing_left = false;
                continue;
            }
            let deleted =
                deletion::delete(core, &resource, namespace, object::name(&object), &DeleteOptions::default());
            nothing_left &= matches!(deleted, Ok(deletion::Deleted::Removed(_)));
        }
    }
    nothing_left
}
