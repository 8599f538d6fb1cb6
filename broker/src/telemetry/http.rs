//! The plain, read-only HTTP listener: `/metrics`, `/livez`, `/readyz`, `/startupz`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Exposition, Health};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Binds `address` (`host:port`); port 0 takes a free one.
pub async fn bind(address: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

/// Serves until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    exposition: Exposition,
    shutdown: CancellationToken,
) -> io::Result<()> {
    axum::serve(listener, router(health, exposition)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

fn router(health: Arc<Health>, exposition: Exposition) -> Router {
    let (startup, ready) = (Arc::clone(&health), health);
    Router::new()
        .route("/metrics", get(move || async move { metrics(&exposition).await }))
        .route("/livez", get(|| async { "live" }))
        .route("/startupz", get(move || async move { probe(startup.started()) }))
        .route("/readyz", get(move || async move { probe(ready.ready()) }))
}

fn probe(state: Result<&'static str, String>) -> Response {
    match state {
        Ok(body) => body.into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

async fn metrics(exposition: &Exposition) -> Response {
    match exposition.text().await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Metrics, Snapshot, State, TopicLabels};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: ottla\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_follow_the_state_and_metrics_carry_kafka_names() {
        let (listener, address) = bind("127.0.0.1:0").await.unwrap();
        let (health, metrics, shutdown) = (Arc::new(Health::new()), Metrics::new(), CancellationToken::new());
        metrics.messages_in.get_or_create(&TopicLabels { topic: "orders".into() }).inc_by(3);
        let now = Snapshot { leaders: 7, ..Snapshot::default() };
        let exposition = Exposition::new(&metrics, Arc::new(move || Box::pin(std::future::ready(now.clone()))));
        let server = tokio::spawn(serve(listener, Arc::clone(&health), exposition, shutdown.clone()));

        assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").await.contains("starting: opening log directories"));
        health.set(State::Ready);
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        health.set(State::Stopping);
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(ask(address, "/startupz").await.starts_with("HTTP/1.1 200"));
        let text = ask(address, "/metrics").await;
        assert!(text.contains("kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"} 3"), "{text}");
        assert!(text.contains("kafka_server_replicamanager_leadercount 7"), "{text}");

        shutdown.cancel();
        server.await.unwrap().unwrap();
    }
}
