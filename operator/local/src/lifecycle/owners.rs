//! Garbage collection by owner references, and the two finalizers of deletion policies.

use serde_json::Value;

use crate::core::Core;
use crate::deletion::{self, DeleteOptions, FOREGROUND, ORPHAN, Propagation};
use crate::object;
use crate::resources::Resource;
use crate::store::{Found, Waiting};
use crate::writes;

pub(super) fn collect(core: &Core) {
    let ends = core.store.loose_ends();
    for Waiting { owner, dependents } in &ends.waiting {
        let Some(resource) = core.registry.by_storage(&owner.storage) else { continue };
        if object::finalizers(&owner.object).any(|finalizer| finalizer == ORPHAN) {
            orphan(core, &resource, &owner.object, dependents);
        } else {
            foreground(core, &resource, &owner.object, dependents);
        }
    }
    for Found { storage, object } in &ends.abandoned {
        if let Some(resource) = core.registry.by_storage(storage) {
            delete(core, &resource, object, Propagation::Background);
        }
    }
}

/// Deletes the dependents first; the owner goes when those that block it are gone.
fn foreground(core: &Core, resource: &Resource, owner: &Value, dependents: &[(Found, bool)]) {
    let mut blocked = false;
    for (Found { storage, object: dependent }, has_other_owner) in dependents {
        let Some(resource) = core.registry.by_storage(storage).filter(|_| !has_other_owner) else { continue };
        let blocks = object::owners(dependent)
            .iter()
            .any(|reference| reference["uid"] == object::uid(owner) && reference["blockOwnerDeletion"] == true);
        blocked |= blocks;
        if !object::is_terminating(dependent) {
            delete(core, &resource, dependent, Propagation::Foreground);
        }
    }
    if !blocked {
        release(core, resource, owner, FOREGROUND);
    }
}

/// Takes the owner out of its dependents, then lets it go.
fn orphan(core: &Core, resource: &Resource, owner: &Value, dependents: &[(Found, bool)]) {
    for (Found { storage, object: dependent }, _) in dependents {
        let Some(resource) = core.registry.by_storage(storage) else { continue };
        let mut freed = (**dependent).clone();
        if let Some(Value::Array(owners)) = object::meta_mut(&mut freed).get_mut("ownerReferences") {
            owners.retain(|reference| reference["uid"] != object::uid(owner));
        }
        let written = writes::replace(core, &resource, dependent, freed);
        if !matches!(written, Ok(writes::Replaced::Stored(_))) {
            // Changed meanwhile: that write brings the next pass.
            return;
        }
    }
    release(core, resource, owner, ORPHAN);
}

fn delete(core: &Core, resource: &Resource, object: &Value, propagation: Propagation) {
    let uid = Some(object::uid(object).to_owned());
    let options = DeleteOptions { propagation, uid, ..DeleteOptions::default() };
    if let Err(error) = deletion::delete(core, resource, object::namespace(object), object::name(object), &options)
        && error.code != 404
        && error.code != 409
    {
        tracing::warn!(%error, kind = resource.kind, name = object::name(object), "dependent not deleted");
    }
}

fn release(core: &Core, resource: &Resource, owner: &Value, finalizer: &str) {
    let mut freed = owner.clone();
    object::remove_finalizer(&mut freed, finalizer);
    if let Err(error) = writes::replace(core, resource, owner, freed)
        && error.code != 404
    {
        tracing::warn!(%error, kind = resource.kind, name = object::name(owner), "owner not released");
    }
}
