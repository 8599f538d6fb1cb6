//! `GET …/pods/x/log`, answered by the log source.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::Value;

use super::Call;
use crate::errors::ApiError;
use crate::logs::{LogError, LogRequest};
use crate::object;

pub(super) async fn get(call: &Call) -> Result<Response, ApiError> {
    let pod = call.core.store.get(&call.resource.key(&call.namespace, &call.name));
    let pod = pod.ok_or_else(|| ApiError::not_found(call.resource.subject(&call.name)))?;
    let request = LogRequest {
        namespace: call.namespace.clone(),
        pod: call.name.clone(),
        uid: object::uid(&pod).to_owned(),
        container: container(call, &pod)?,
        follow: call.params.flag("follow"),
        previous: call.params.flag("previous"),
        tail_lines: call.params.number("tailLines")?,
        since_seconds: call.params.number("sinceSeconds")?,
        timestamps: call.params.flag("timestamps"),
        limit_bytes: call.params.number("limitBytes")?,
    };
    let source = call.core.logs.read().clone();
    let Some(source) = source else {
        return Err(ApiError {
            code: 503,
            reason: "ServiceUnavailable",
            ..ApiError::bad_request("no kubelet serves logs")
        });
    };
    let stream = source.open(request).await.map_err(|error| match error {
        LogError::Waiting { .. } | LogError::NoPrevious { .. } => ApiError::bad_request(error.to_string()),
        LogError::Io(_) => ApiError::internal(error.to_string()),
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain")], Body::from_stream(stream)).into_response())
}

/// The container asked for, which must exist; needless to name when there is only one.
fn container(call: &Call, pod: &Value) -> Result<String, ApiError> {
    let names = |list: &str| {
        let containers = object::list_at(pod, &["spec", list]).iter();
        containers.filter_map(|c| c["name"].as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    let (main, init) = (names("containers"), names("initContainers"));
    match (call.params.all.get("container").filter(|name| !name.is_empty()), main.as_slice()) {
        (Some(wanted), _) if main.contains(wanted) || init.contains(wanted) => Ok(wanted.clone()),
        (Some(wanted), _) => {
            Err(ApiError::bad_request(format!("container {wanted} is not valid for pod {}", call.name)))
        }
        (None, [only]) => Ok(only.clone()),
        (None, many) => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {}, choose one of: [{}]",
            call.name,
            many.join(" ")
        ))),
    }
}
