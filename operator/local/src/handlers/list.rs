//! `GET` of a collection: its list, or a watch on it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::{Call, json};
use crate::errors::ApiError;
use crate::selector::{FieldSelector, LabelSelector, Selector};
use crate::watch;

pub(super) fn list_or_watch(call: Call) -> Result<Response, ApiError> {
    let selector = selector(&call)?;
    if call.params.watch {
        return watch(call, selector);
    }
    let namespace = (!call.namespace.is_empty()).then_some(call.namespace.as_str());
    let (stored, version) = call.core.store.list(&call.resource.storage, namespace);
    if let Some(wanted) = call.params.version()? {
        check_version(wanted, version, call.params.resource_version_match == "Exact")?;
    }
    let objects = stored.iter().map(|object| call.resource.present(object)).filter(|object| selector.matches(object));
    Ok(json(StatusCode::OK, &call.output.list(&call.resource, objects.collect(), version)))
}

/// Only the present state can be listed: every earlier version is gone, and later ones are not there yet.
fn check_version(wanted: u64, version: u64, exact: bool) -> Result<(), ApiError> {
    if wanted > version {
        return Err(ApiError {
            code: 504,
            reason: "Timeout",
            ..ApiError::bad_request(format!("Too large resource version: {wanted}, current: {version}"))
        });
    }
    if exact && wanted < version { Err(ApiError::expired(wanted, version)) } else { Ok(()) }
}

/// Label and field selectors of a request.
pub(super) fn selector(call: &Call) -> Result<Selector, ApiError> {
    let labels = LabelSelector::parse(&call.params.label_selector).map_err(ApiError::bad_request)?;
    let mut fields = call.params.field_selector.clone();
    // `GET …/pods/x?watch` is a watch on the one object.
    if !call.name.is_empty() {
        fields = format!("metadata.name={}{}{fields}", call.name, if fields.is_empty() { "" } else { "," });
    }
    let fields = FieldSelector::parse(&fields, &call.resource).map_err(ApiError::bad_request)?;
    Ok(Selector { labels, fields })
}

fn watch(call: Call, selector: Selector) -> Result<Response, ApiError> {
    let since = call.params.version()?;
    if call.params.send_initial_events && call.params.resource_version_match != "NotOlderThan" {
        let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
             sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(ApiError { code: 422, reason: "Invalid", ..ApiError::bad_request(message) });
    }
    let request = watch::Request {
        resource: call.resource,
        namespace: (!call.namespace.is_empty()).then_some(call.namespace),
        selector,
        output: call.output,
        since: if call.params.send_initial_events { None } else { since },
        initial_events_end: call.params.send_initial_events && call.params.bookmarks,
        bookmarks: call.params.bookmarks,
        timeout: call.params.timeout,
        closing: call.parts.extensions.get::<watch::Closing>().cloned(),
    };
    let stream = watch::stream(call.core, request);
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(stream)).into_response())
}
