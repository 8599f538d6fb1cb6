//! `DeleteOptions`, from the body or the query.

use axum::body::Body;
use serde_json::Value;

use super::{Call, body};
use crate::deletion::{DeleteOptions, Propagation};
use crate::errors::ApiError;
use crate::object;

pub(super) async fn read(call: &Call, body: Body) -> Result<(DeleteOptions, bool), ApiError> {
    let given = body::optional_object(&call.parts, body).await?.unwrap_or(Value::Null);
    of(call, &given)
}

/// The options in `given`, or else in the query; and whether nothing is to be done.
pub(super) fn of(call: &Call, given: &Value) -> Result<(DeleteOptions, bool), ApiError> {
    let query = |name: &str| call.params.all.get(name).cloned();
    let text = |path: &[&str]| object::at(given, path).and_then(Value::as_str).map(str::to_owned);
    let propagation = match text(&["propagationPolicy"]).or_else(|| query("propagationPolicy")).as_deref() {
        Some("Foreground") => Propagation::Foreground,
        Some("Orphan") => Propagation::Orphan,
        Some("Background") => Propagation::Background,
        None if given["orphanDependents"] == true => Propagation::Orphan,
        None => Propagation::Background,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\""
            )));
        }
    };
    let options = DeleteOptions {
        propagation,
        grace_seconds: match given["gracePeriodSeconds"].as_u64() {
            Some(seconds) => Some(seconds),
            None => call.params.number("gracePeriodSeconds")?,
        },
        uid: text(&["preconditions", "uid"]),
        version: text(&["preconditions", "resourceVersion"]),
    };
    let dry_run = call.params.dry_run || object::list_at(given, &["dryRun"]).iter().any(|value| value == "All");
    Ok((options, dry_run))
}
