//! `GET` of a collection: its list, or a watch on it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use serde_json::Value;

use super::page::Page;
use super::{Call, json};
use crate::errors::ApiError;
use crate::selector::{FieldSelector, LabelSelector, Selector};
use crate::watch;

pub(super) fn list_or_watch(call: Call) -> Result<Response, ApiError> {
    let selector = selector(&call)?;
    if call.params.watch {
        return watch(call, selector);
    }
    let page = Page::of(&call.params)?;
    let (stored, version) = snapshot(&call, &page)?;
    let objects = stored.iter().filter(|object| page.has(object)).map(|object| call.resource.view(object));
    let found: Vec<Cow<'_, Value>> = objects.filter(|object| selector.matches(object)).collect();
    // How many more there are is said only where it costs nothing to know.
    let counted = call.params.label_selector.is_empty() && call.params.field_selector.is_empty();
    let (found, rest) = page.cut(found, version, counted);
    Ok(json(StatusCode::OK, &call.output.list(&call.resource, found, rest)))
}

/// The collection at the moment that is asked for, and the version of that moment.
fn snapshot(call: &Call, page: &Page) -> Result<(Vec<Arc<Value>>, u64), ApiError> {
    let (store, storage) = (&call.core.store, &call.resource.storage);
    let namespace = (!call.namespace.is_empty()).then_some(call.namespace.as_str());
    let wanted = match page.version() {
        Some(version) => {
            let stored = store.list_at(storage, namespace, version).map_err(|_| page.expired())?;
            return Ok((stored, version));
        }
        None => call.params.version()?,
    };
    let (stored, current) = store.list(storage, namespace);
    match wanted {
        Some(wanted) if wanted > current => Err(ApiError {
            code: 504,
            reason: "Timeout",
            ..ApiError::bad_request(format!("Too large resource version: {wanted}, current: {current}"))
        }),
        Some(wanted) if call.params.resource_version_match == "Exact" => {
            let stored = store.list_at(storage, namespace, wanted);
            Ok((stored.map_err(|compacted| ApiError::expired(wanted, compacted.oldest))?, wanted))
        }
        _ => Ok((stored, current)),
    }
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
