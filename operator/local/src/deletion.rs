//! Deleting one object: at once, or by marking it so that finalizers, kubelet or garbage collector can finish.

use std::sync::Arc;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::core::Core;
use crate::errors::ApiError;
use crate::object;
use crate::resources::{Resource, builtin, crd};
use crate::writes::{self, Replaced};

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";

/// What becomes of an object's dependents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go after it.
    #[default]
    Background,
    /// They go before it.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// What a client may ask of a deletion.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub propagation: Propagation,
    pub grace_seconds: Option<u64>,
    /// Only if the object has this uid.
    pub uid: Option<String>,
    /// Only at this resourceVersion.
    pub version: Option<String>,
}

/// How far a deletion got.
#[derive(Debug)]
pub(crate) enum Deleted {
    Removed(Arc<Value>),
    /// Marked; something else has to finish it.
    Terminating(Arc<Value>),
}

/// Deletes the object named, retrying while other writers interfere.
pub(crate) fn delete(
    core: &Core,
    resource: &Resource,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    let key = resource.key(namespace, name);
    loop {
        let old = core.store.get(&key).ok_or_else(|| ApiError::not_found(resource.subject(name)))?;
        check_preconditions(resource, &old, options)?;
        let marked = mark(resource, &old, options);
        if marked == *old && object::is_terminating(&old) {
            return Ok(Deleted::Terminating(old));
        }
        match writes::replace(core, resource, &old, marked)? {
            Replaced::Stored(stored) => return Ok(Deleted::Terminating(stored)),
            Replaced::Removed(removed) => return Ok(Deleted::Removed(removed)),
            Replaced::Lost => {}
        }
    }
}

fn check_preconditions(resource: &Resource, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let pairs = [
        ("UID", &options.uid, object::uid(old)),
        ("ResourceVersion", &options.version, object::meta(old, "resourceVersion")),
    ];
    for (what, wanted, found) in pairs {
        if let Some(wanted) = wanted
            && wanted != found
        {
            let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}");
            return Err(ApiError::conflict(resource.subject(object::name(old)), &why));
        }
    }
    Ok(())
}

/// The object as the deletion leaves it, if anything keeps it.
fn mark(resource: &Resource, old: &Value, options: &DeleteOptions) -> Value {
    let mut object = old.clone();
    let grace = if resource.is("pods") { pod_grace(old, options.grace_seconds) } else { 0 };
    if object::is_terminating(old) {
        // A second deletion can only hasten the first.
        let left = object::at(old, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_u64).unwrap_or(0);
        if options.grace_seconds.is_some() && grace < left {
            object::meta_mut(&mut object).insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        }
        return object;
    }
    match options.propagation {
        Propagation::Background => {}
        Propagation::Foreground => object::add_finalizer(&mut object, FOREGROUND),
        Propagation::Orphan => object::add_finalizer(&mut object, ORPHAN),
    }
    if resource.is(builtin::DEFINITIONS) {
        object::add_finalizer(&mut object, crd::CLEANUP);
    }
    if resource.is("namespaces") {
        object["status"]["phase"] = "Terminating".into();
    }
    let due = Timestamp::now() + SignedDuration::from_secs(i64::try_from(grace).unwrap_or(0));
    object::set_meta(&mut object, "deletionTimestamp", &due.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let generation = object::at(old, &["metadata", "generation"]).and_then(Value::as_i64);
    let metadata = object::meta_mut(&mut object);
    metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
    if let Some(generation) = generation {
        metadata.insert("generation".to_owned(), (generation + 1).into());
    }
    object
}

/// Seconds that a pod's containers have to stop: none if no kubelet has it, or they have stopped already.
fn pod_grace(pod: &Value, asked: Option<u64>) -> u64 {
    let phase = object::str_at(pod, &["status", "phase"]);
    if object::str_at(pod, &["spec", "nodeName"]).is_empty() || matches!(phase, "Failed" | "Succeeded") {
        return 0;
    }
    let own = object::at(pod, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_u64);
    // A century is as good as for ever, and keeps the timestamp within its range.
    asked.or(own).unwrap_or(30).min(100 * 366 * 86_400)
}
