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
        let name = object::name(&namespace);
        let left = core.store.tally(name);
        // What is going already needs no second look, however much of it there is.
        if left.all > left.going {
            empty(core, name);
        }
        if core.store.tally(name).all == 0 && !object::list_at(&namespace, &["spec", "finalizers"]).is_empty() {
            let mut freed = (*namespace).clone();
            freed["spec"]["finalizers"] = Value::Array(Vec::new());
            if let Err(error) = writes::replace(core, &namespaces, &namespace, freed) {
                tracing::warn!(%error, name, "namespace not removed");
            }
        }
    }
}

/// Deletes what is left in a namespace.
fn empty(core: &Core, namespace: &str) {
    for storage in core.store.storages() {
        let Some(resource) = core.registry.by_storage(&storage).filter(|r| r.namespaced) else { continue };
        let objects = core.store.list(&storage, Some(namespace)).0;
        for object in objects.iter().filter(|object| !object::is_terminating(object)) {
            let name = object::name(object);
            if let Err(error) = deletion::delete(core, &resource, namespace, name, &DeleteOptions::default())
                && error.code != 404
            {
                tracing::warn!(%error, kind = resource.kind, name, "object of a deleted namespace not deleted");
            }
        }
    }
}
