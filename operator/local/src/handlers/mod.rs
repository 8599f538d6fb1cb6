//! From an HTTP request to an answer: one file per verb, and the steps they share.
//!
//! Handlers know verbs and subresources; what a kind is comes from the registry.

mod admit;
mod body;
mod create;
mod delete;
mod delete_options;
mod eviction;
mod fetch;
mod list;
mod log;
mod metadata;
mod page;
pub(crate) mod params;
mod patch;
mod protobuf;
mod render;
mod scale;
mod strict;
mod target;
mod update;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use serde_json::Value;

use crate::core::Core;
use crate::discovery;
use crate::errors::ApiError;
use crate::resources::Resource;

use params::Params;
pub(crate) use render::{Output, partial};
use target::Subresource;
pub(crate) use target::Target;

/// A request for one resource, with everything but the body decoded.
pub(crate) struct Call {
    pub core: Arc<Core>,
    pub resource: Arc<Resource>,
    /// Empty: all namespaces, or a cluster-scoped kind.
    pub namespace: String,
    /// Empty: the collection.
    pub name: String,
    pub params: Params,
    pub output: Output,
    pub parts: Parts,
}

/// Answers any request to the API.
pub(crate) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response {
    match route(core, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn route(core: Arc<Core>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let target = match Target::parse(parts.uri.path()) {
        Target::Resource(target) => target,
        other if parts.method == Method::GET || parts.method == Method::HEAD => {
            return discovery::answer_to(&core, &other, &parts);
        }
        _ => return Err(ApiError::method_not_allowed()),
    };
    let resource = core.registry.get(&target.group, &target.version, &target.plural);
    let resource = resource.ok_or_else(ApiError::no_such_path)?;
    if resource.namespaced && target.namespace.is_empty() && !target.name.is_empty() {
        return Err(ApiError::no_such_path());
    }
    if !resource.namespaced && !target.namespace.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let params = Params::parse(&parts.uri)?;
    let output = Output::negotiate(&parts.headers, &params);
    let call = Call { core, resource, namespace: target.namespace, name: target.name, params, output, parts };
    dispatch(call, target.subresource, body).await
}

async fn dispatch(call: Call, subresource: Subresource, body: Body) -> Result<Response, ApiError> {
    let method = call.parts.method.clone();
    let named = !call.name.is_empty();
    match (subresource, method) {
        (Subresource::None | Subresource::Status, Method::GET) if named && !call.params.watch => fetch::get(&call),
        (Subresource::None, Method::GET) => list::list_or_watch(call),
        (Subresource::None, Method::POST) if !named => create::create(&call, body).await,
        (Subresource::None | Subresource::Status, Method::PUT) if named => update::put(&call, subresource, body).await,
        (Subresource::None | Subresource::Status, Method::PATCH) if named => {
            patch::patch(&call, subresource, body).await
        }
        (Subresource::None, Method::DELETE) if named => delete::one(&call, body).await,
        (Subresource::None, Method::DELETE) => delete::collection(&call, body).await,
        (Subresource::Scale, Method::GET) => scale::get(&call),
        (Subresource::Scale, Method::PUT | Method::PATCH) => scale::write(&call, body).await,
        (Subresource::Finalize, Method::PUT) => update::finalize_namespace(&call, body).await,
        (Subresource::Eviction, Method::POST) => eviction::evict(&call, body).await,
        (Subresource::Log, Method::GET) => log::get(&call).await,
        (Subresource::Unknown, _) => Err(ApiError::no_such_path()),
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// A JSON answer.
pub(crate) fn json(code: StatusCode, value: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
