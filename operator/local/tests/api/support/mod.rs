//! Requests against a server in this process, without a socket.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use ottla_local::{ApiServer, ApiServerConfig};
use serde_json::{Value, json};
use tower::ServiceExt;

pub struct Api {
    pub server: ApiServer,
}

impl Api {
    pub fn new() -> Self {
        Self { server: ApiServer::new(ApiServerConfig::default()).unwrap() }
    }

    pub async fn send(&self, method: Method, path: &str, media_type: &str, body: &Value) -> (StatusCode, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "test/1");
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        let response = self.server.router().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, "", &Value::Null).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, "application/json", body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::PUT, path, "application/json", body).await
    }

    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::DELETE, path, "", &Value::Null).await
    }

    pub async fn merge(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::PATCH, path, "application/merge-patch+json", body).await
    }

    pub async fn apply(&self, path: &str, manager: &str, body: &Value) -> (StatusCode, Value) {
        let path = format!("{path}{}fieldManager={manager}", if path.contains('?') { '&' } else { '?' });
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", body).await
    }

    /// Waits until a path answers with the status.
    pub async fn eventually(&self, path: &str, wanted: StatusCode) -> Value {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let (status, body) = self.get(path).await;
            if status == wanted {
                return body;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path}: {status} {body}");
            tokio::task::yield_now().await;
        }
    }
}

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}
