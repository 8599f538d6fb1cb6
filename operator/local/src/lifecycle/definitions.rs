//! A deleted definition takes the objects of its kind with it, and goes when the last one has gone.

use crate::core::Core;
use crate::deletion::{self, DeleteOptions};
use crate::object;
use crate::resources::{crd, custom};
use crate::writes;

pub(super) fn finish(core: &Core) {
    let Some(definitions) = core.registry.get("apiextensions.k8s.io", "v1", "customresourcedefinitions") else {
        return;
    };
    for definition in core.store.list(&definitions.storage, None).0 {
        if !object::is_terminating(&definition) || !object::finalizers(&definition).any(|f| f == crd::CLEANUP) {
            continue;
        }
        let storage = custom::storage_of(&definition);
        let objects = core.store.list(&storage, None).0;
        if let Some(resource) = core.registry.by_storage(&storage) {
            for object in objects.iter().filter(|object| !object::is_terminating(object)) {
                let (namespace, name) = (object::namespace(object), object::name(object));
                if let Err(error) = deletion::delete(core, &resource, namespace, name, &DeleteOptions::default())
                    && error.code != 404
                {
                    tracing::warn!(%error, kind = resource.kind, name, "object of a deleted definition not deleted");
                }
            }
        }
        if core.store.list(&storage, None).0.is_empty() {
            let mut freed = (*definition).clone();
            object::remove_finalizer(&mut freed, crd::CLEANUP);
            if let Err(error) = writes::replace(core, &definitions, &definition, freed) {
                tracing::warn!(%error, name = object::name(&definition), "definition not removed");
            }
        }
    }
}
