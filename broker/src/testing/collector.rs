//! A collector of metrics for tests: it tells what it was sent.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Starts one that answers with `status`: its address, and the type and body of everything that it is sent.
pub(crate) async fn collector(status: StatusCode) -> (String, UnboundedReceiver<(String, Bytes)>) {
    let (sender, receiver) = unbounded_channel();
    let take = move |headers: HeaderMap, body: Bytes| async move {
        let kind = headers[CONTENT_TYPE].to_str().unwrap().to_owned();
        sender.send((kind, body)).unwrap();
        status
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route("/v1/metrics", post(take))).await });
    (address, receiver)
}
