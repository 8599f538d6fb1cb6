//! Garbage collection by owner references, and the two finalizers of deletion policies.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::core::Core;
use crate::deletion::{self, DeleteOptions, FOREGROUND, ORPHAN, Propagation};
use crate::object;
use crate::resources::Resource;
use crate::writes;

struct World {
    objects: Vec<(Arc<Resource>, Arc<Value>)>,
    /// Objects by the uid of an owner.
    dependents: HashMap<String, Vec<usize>>,
    alive: HashSet<String>,
}

pub(super) fn collect(core: &Core) {
    let world = observe(core);
    for (resource, object) in &world.objects {
        if object::is_terminating(object) {
            let dependents = world.dependents.get(object::uid(object)).map_or(&[][..], Vec::as_slice);
            if object::finalizers(object).any(|f| f == ORPHAN) {
                orphan(core, &world, resource, object, dependents);
            } else if object::finalizers(object).any(|f| f == FOREGROUND) {
                foreground(core, &world, resource, object, dependents);
            }
        } else if !object::owners(object).is_empty() {
            abandoned(core, &world, resource, object);
        }
    }
}

fn observe(core: &Core) -> World {
    let mut world = World { objects: Vec::new(), dependents: HashMap::new(), alive: HashSet::new() };
    // One moment for all kinds: an owner made between two looks would seem to be missing.
    for (storage, objects) in core.store.snapshot() {
        let resource = core.registry.by_storage(&storage);
        for object in objects {
            world.alive.insert(object::uid(&object).to_owned());
            let Some(resource) = &resource else { continue };
            for owner in object::owners(&object) {
                let uid = owner["uid"].as_str().unwrap_or("").to_owned();
                world.dependents.entry(uid).or_default().push(world.objects.len());
            }
            world.objects.push((resource.clone(), object));
        }
    }
    world
}

/// Deletes an object all of whose owners are gone.
fn abandoned(core: &Core, world: &World, resource: &Resource, object: &Value) {
    let gone = |owner: &&Value| !world.alive.contains(owner["uid"].as_str().unwrap_or(""));
    if object::owners(object).iter().all(|owner| gone(&owner)) {
        delete(core, resource, object, Propagation::Background);
    }
}

/// Deletes the dependents first; the owner goes when those that block it are gone.
fn foreground(core: &Core, world: &World, resource: &Resource, owner: &Value, dependents: &[usize]) {
    let mut blocked = false;
    for (resource, dependent) in dependents.iter().map(|i| &world.objects[*i]) {
        let others_alive = object::owners(dependent).iter().any(|other| {
            let uid = other["uid"].as_str().unwrap_or("");
            uid != object::uid(owner) && world.alive.contains(uid)
        });
        if others_alive {
            continue;
        }
        let blocks = object::owners(dependent)
            .iter()
            .any(|reference| reference["uid"] == object::uid(owner) && reference["blockOwnerDeletion"] == true);
        blocked |= blocks;
        if !object::is_terminating(dependent) {
            delete(core, resource, dependent, Propagation::Foreground);
        }
    }
    if !blocked {
        release(core, resource, owner, FOREGROUND);
    }
}

/// Takes the owner out of its dependents, then lets it go.
fn orphan(core: &Core, world: &World, resource: &Resource, owner: &Value, dependents: &[usize]) {
    for (resource, dependent) in dependents.iter().map(|i| &world.objects[*i]) {
        let mut freed = (**dependent).clone();
        if let Some(Value::Array(owners)) = object::meta_mut(&mut freed).get_mut("ownerReferences") {
            owners.retain(|reference| reference["uid"] != object::uid(owner));
        }
        let written = writes::replace(core, resource, dependent, freed);
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
