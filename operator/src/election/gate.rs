//! The gate that every write to Kubernetes passes: shut as soon as this operator may not be the only one.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use tokio::time::Instant;
use tower::{BoxError, Service};

/// Whether this operator may write now. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    OpenUntil(Instant),
    Closed,
}

/// A write that was not sent because this operator may not write any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this operator does not hold its lease and may not write")]
pub struct Fenced;

impl Gate {
    /// A gate that is shut until somebody opens it.
    pub fn closed() -> Self {
        Self(Arc::new(Mutex::new(State::Closed)))
    }

    /// Opens it until then.
    pub fn open_until(&self, until: Instant) {
        *self.state() = State::OpenUntil(until);
    }

    /// Shuts it.
    pub fn close(&self) {
        *self.state() = State::Closed;
    }

    /// Passes if a write may begin now.
    ///
    /// # Errors
    /// [`Fenced`] if it may not.
    pub fn pass(&self) -> Result<(), Fenced> {
        match *self.state() {
            State::OpenUntil(until) if Instant::now() < until => Ok(()),
            State::OpenUntil(_) | State::Closed => Err(Fenced),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `client`, whose writes pass `gate`.
pub fn fenced(client: Client, gate: Gate) -> Client {
    let namespace = client.default_namespace().to_owned();
    Client::new(Fence { client, gate }, namespace)
}

#[derive(Clone)]
struct Fence {
    client: Client,
    gate: Gate,
}

impl Service<Request<Body>> for Fence {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, gate) = (self.client.clone(), self.gate.clone());
        Box::pin(async move {
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                gate.pass()?;
            }
            client.send(request).await.map_err(Into::into)
        })
    }
}
