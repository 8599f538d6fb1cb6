//! The last step of every write: into the store, and for definitions into the registry as well.
//!
//! Also the rule that an object which is going is removed by the write that takes its last finalizer.

use std::sync::Arc;

use serde_json::Value;

use crate::core::Core;
use crate::errors::ApiError;
use crate::object;
use crate::resources::{Resource, builtin};
use crate::store;

/// How a replacement ended.
pub(crate) enum Replaced {
    Stored(Arc<Value>),
    /// The last thing that kept a deleted object is gone, and so is the object.
    Removed(Arc<Value>),
    /// Another writer was faster: read again.
    Lost,
}

/// Stores a new object.
pub(crate) fn create(core: &Core, resource: &Resource, object: Value) -> Result<Arc<Value>, ApiError> {
    let name = object::name(&object).to_owned();
    let key = resource.key(object::namespace(&object), &name);
    let stored = core.store.create(&key, resource.absorb(object)).map_err(|e| core.refused(e, resource, &name))?;
    if resource.is(builtin::DEFINITIONS) {
        core.registry.install(&stored);
        core.openapi.forget();
    }
    Ok(stored)
}

/// Stores `object` in place of `old`, which must still be what is stored.
pub(crate) fn replace(core: &Core, resource: &Resource, old: &Value, object: Value) -> Result<Replaced, ApiError> {
    let name = object::name(old).to_owned();
    let key = resource.key(object::namespace(old), &name);
    if is_released(resource, &object) {
        return match core.store.remove(&key, object::version(old)) {
            Err(store::Error::Changed) => Ok(Replaced::Lost),
            Err(error) => Err(core.refused(error, resource, &name)),
            Ok(removed) => {
                forget(core, resource, &removed);
                Ok(Replaced::Removed(removed))
            }
        };
    }
    match core.store.replace(&key, object::version(old), resource.absorb(object)) {
        Err(store::Error::Changed) => Ok(Replaced::Lost),
        Err(error) => Err(core.refused(error, resource, &name)),
        Ok(stored) => {
            if resource.is(builtin::DEFINITIONS) {
                core.registry.install(&stored);
                core.openapi.forget();
            }
            Ok(Replaced::Stored(stored))
        }
    }
}

fn forget(core: &Core, resource: &Resource, removed: &Value) {
    if resource.is(builtin::DEFINITIONS) {
        core.registry.uninstall(removed);
        core.openapi.forget();
    }
}

/// Is this a deleted object that nothing keeps any more?
fn is_released(resource: &Resource, object: &Value) -> bool {
    let graceful = object::at(object, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_u64).unwrap_or(0);
    let kept_by_namespace = resource.is("namespaces") && !object::list_at(object, &["spec", "finalizers"]).is_empty();
    object::is_terminating(object) && object::finalizers(object).next().is_none() && graceful == 0 && !kept_by_namespace
}
