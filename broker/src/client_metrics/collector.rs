//! Brings metrics to a collector by OTLP over HTTP, one push after the other, with a bounded queue before it.
//!
//! A collector that is slow or away costs pushes, never time: what does not fit the queue is dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ClientMetricsCounters;

/// The most bytes that wait for the collector.
const QUEUE_BYTES: usize = 8 << 20;
/// What a waiting push takes besides its bytes.
const PUSH_OVERHEAD: usize = 256;
/// How long the collector may take to answer one push.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read of an answer, so that its connection can be used again.
const ANSWER_BYTES: usize = 64 << 10;
/// OTLP's name of protobuf.
const PROTOBUF: &str = "application/x-protobuf";

/// Where pushes are left for the collector.
#[derive(Debug)]
pub struct Outbox {
    room: Arc<Semaphore>,
    queue: UnboundedSender<Waiting>,
    counters: ClientMetricsCounters,
}

#[derive(Debug)]
struct Waiting {
    metrics: Bytes,
    /// Its place in the queue; given back when it is done with.
    _room: OwnedSemaphorePermit,
}

/// Takes pushes from the queue to the collector.
#[derive(Debug)]
pub struct Delivery {
    address: Uri,
    queue: UnboundedReceiver<Waiting>,
    counters: ClientMetricsCounters,
}

/// A queue to the collector at `address`, and what empties it.
pub(super) fn to(address: Uri, counters: ClientMetricsCounters) -> (Outbox, Delivery) {
    let (sender, receiver) = unbounded_channel();
    let outbox = Outbox { room: Arc::new(Semaphore::new(QUEUE_BYTES)), queue: sender, counters: counters.clone() };
    (outbox, Delivery { address, queue: receiver, counters })
}

impl Outbox {
    /// Leaves a push in the queue, if there is room.
    pub(super) fn offer(&self, metrics: Bytes) {
        let size = u32::try_from(metrics.len() + PUSH_OVERHEAD).unwrap_or(u32::MAX);
        match Arc::clone(&self.room).try_acquire_many_owned(size) {
            // It fails only when the broker stops.
            Ok(room) => drop(self.queue.send(Waiting { metrics, _room: room })),
            Err(_) => self.counters.dropped("queue_full"),
        }
    }
}

impl Delivery {
    /// Delivers until `shutdown`; what waits then is dropped.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut is_well = true;
        while let Some(Some(waiting)) = shutdown.run_until_cancelled(self.queue.recv()).await {
            let sending = tokio::time::timeout(PATIENCE, send(&client, &self.address, waiting.metrics.clone()));
            let Some(outcome) = shutdown.run_until_cancelled(sending).await else { return };
            match outcome.unwrap_or(Err(Failure::TimedOut)) {
                Ok(()) => {
                    self.counters.forwarded();
                    if !is_well {
                        info!(address = %self.address, "the collector takes metrics of clients again");
                    }
                    is_well = true;
                }
                Err(failure) => {
                    self.counters.dropped(failure.reason());
                    if is_well {
                        warn!(address = %self.address, %failure, "the collector does not take metrics of clients");
                    }
                    is_well = false;
                }
            }
        }
    }
}

/// Why the collector has not taken a push.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("it answers {0}")]
    Refused(StatusCode),
    #[error("it has not answered within {PATIENCE:?}")]
    TimedOut,
}

impl Failure {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::TimedOut => "timed_out",
        }
    }
}

async fn send(client: &Client<HttpConnector, Full<Bytes>>, address: &Uri, metrics: Bytes) -> Result<(), Failure> {
    let mut request = Request::new(Full::new(metrics));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = address.clone();
    request.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(PROTOBUF));
    let answer = client.request(request).await?;
    let status = answer.status();
    // What it says is of no use; a connection whose answer is not read to its end is not used again, and that is all.
    let _ = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
    if status.is_success() { Ok(()) } else { Err(Failure::Refused(status)) }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::testing::{collector, eventually};

    fn start(address: &str) -> (Outbox, ClientMetricsCounters, CancellationToken) {
        let (counters, shutdown) = (ClientMetricsCounters::default(), CancellationToken::new());
        let (outbox, delivery) = to(address.parse().unwrap(), counters.clone());
        tokio::spawn(delivery.run(shutdown.clone()));
        (outbox, counters, shutdown)
    }

    #[tokio::test]
    async fn pushes_reach_the_collector_in_order_as_protobuf() {
        let (address, mut received) = collector(StatusCode::OK).await;
        let (outbox, counters, _) = start(&address);
        for push in ["one", "two"] {
            outbox.offer(push.into());
        }
        for push in ["one", "two"] {
            assert_eq!(received.recv().await.unwrap(), (PROTOBUF.to_owned(), push.into()));
        }
        eventually("both are counted", || counters.count("refused") == (2, 0)).await;
        assert_eq!(outbox.room.available_permits(), QUEUE_BYTES);
    }

    #[tokio::test]
    async fn what_the_collector_refuses_is_dropped_and_counted() {
        let (address, _received) = collector(StatusCode::SERVICE_UNAVAILABLE).await;
        let (outbox, counters, _) = start(&address);
        outbox.offer("one".into());
        eventually("it is counted", || counters.count("refused") == (0, 1)).await;
    }

    #[tokio::test]
    async fn what_nobody_takes_is_dropped_and_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let (outbox, counters, _) = start(&address);
        outbox.offer("one".into());
        eventually("it is counted", || counters.count("unreachable") == (0, 1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_does_not_answer_costs_pushes_and_no_more_memory_than_the_queue() {
        // It accepts by its backlog alone, and never reads.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (outbox, counters, shutdown) = start(&format!("http://{}/", listener.local_addr().unwrap()));
        let large = Bytes::from(vec![0; QUEUE_BYTES / 2 - PUSH_OVERHEAD]);
        for _ in 0..5 {
            outbox.offer(large.clone());
        }
        assert_eq!(counters.count("queue_full"), (0, 3));
        tokio::time::sleep(PATIENCE + Duration::from_secs(1)).await;
        assert_eq!(counters.count("timed_out"), (0, 1));
        shutdown.cancel();
        outbox.queue.closed().await;
    }
}
