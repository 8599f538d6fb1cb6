//! The tonic server of the CONTROLLER listener: the quorum's own RPCs, the brokers' sessions, cluster control.
//!
//! It is bound before anything else runs, since nodes that found a cluster ask each other first; services are added as
//! their parts come up, and one that is not there yet is "unavailable". Off loopback every call carries the cluster's
//! token. It must hold no rule of any service.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::RwLock;
use tokio::net::{TcpListener, lookup_host};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tracing::error;

use crate::config::Endpoint;

/// The shared secret of a cluster's CONTROLLER listeners. Never printed.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// Reads the file that `ottla.controller.token.file` names; white space around the token does not count.
    pub fn read(file: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(file)?;
        if text.trim().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
        }
        Ok(Self(text.trim().into()))
    }

    /// What a caller sends in `authorization`.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Takes the same time wherever the first difference is.
    fn is_in(&self, header: Option<&http::HeaderValue>) -> bool {
        let given = header.map(http::HeaderValue::as_bytes).and_then(|bytes| bytes.strip_prefix(b"Bearer "));
        let given = given.unwrap_or_default();
        let wanted = self.0.as_bytes();
        let different = given.iter().zip(wanted).fold(0, |different, (a, b)| std::hint::black_box(different | (a ^ b)));
        given.len() == wanted.len() && different == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why the listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The listener as configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The token cannot be read.
    #[error("cannot read {} (ottla.controller.token.file): {source}", file.display())]
    Token {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Anybody could change the cluster.
    #[error("{0} can be reached from other machines: it needs a token (ottla.controller.token.file)")]
    NoToken(String),
}

/// The services by name, shared between the server and whoever adds some. Cheap to clone.
#[derive(Clone, Default)]
pub struct Services {
    by_name: Arc<RwLock<HashMap<&'static str, Routes>>>,
}

impl Services {
    /// Serves `service` from now on.
    pub fn add<S>(&self, service: S)
    where
        S: Service<http::Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.by_name.write().insert(S::NAME, Routes::new(service));
    }

    fn get(&self, path: &str) -> Option<Routes> {
        let name = path.strip_prefix('/')?.split('/').next()?;
        self.by_name.read().get(name).cloned()
    }
}

/// A bound CONTROLLER listener.
pub struct ControllerListener {
    socket: TcpListener,
    address: SocketAddr,
    gate: Gate,
}

impl ControllerListener {
    /// Binds `endpoint`. Without a token it must be on loopback.
    pub async fn bind(endpoint: &Endpoint, token: Option<Token>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address: endpoint.to_string(), source };
        let mut bound = Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address"));
        for address in lookup_host(endpoint.bind_address()).await.map_err(failed)? {
            bound = TcpListener::bind(address).await;
            if bound.is_ok() {
                break;
            }
        }
        let socket = bound.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        if token.is_none() && !address.ip().is_loopback() {
            return Err(ListenError::NoToken(endpoint.to_string()));
        }
        Ok(Self { socket, address, gate: Gate { services: Services::default(), token } })
    }

    /// The address that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where services are added, before or while it serves.
    pub fn services(&self) -> Services {
        self.gate.services.clone()
    }

    /// Serves until `shutdown`; connections are closed then, whatever runs on them.
    pub async fn serve(self, shutdown: CancellationToken) {
        let incoming = TcpIncoming::from(self.socket).with_nodelay(Some(true));
        let routes = Routes::from(axum::Router::new().fallback_service(self.gate));
        let serving = Server::builder().add_routes(routes).serve_with_incoming(incoming);
        tokio::select! {
            () = shutdown.cancelled() => {}
            served = serving => if let Err(error) = served {
                error!(%error, "the CONTROLLER listener has stopped");
            }
        }
    }
}

/// Checks the token and finds the service.
#[derive(Clone)]
struct Gate {
    services: Services,
    token: Option<Token>,
}

impl Gate {
    fn refusal(&self, request: &http::Request<axum::body::Body>) -> Option<Status> {
        let token = self.token.as_ref()?;
        let admitted = token.is_in(request.headers().get(http::header::AUTHORIZATION));
        (!admitted).then(|| Status::unauthenticated("the cluster's token is missing or wrong"))
    }
}

type Answer = http::Response<Body>;

impl Service<http::Request<axum::body::Body>> for Gate {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<axum::body::Body>) -> Self::Future {
        if let Some(refusal) = self.refusal(&request) {
            return Box::pin(async move { Ok(refusal.into_http()) });
        }
        match self.services.get(request.uri().path()) {
            Some(mut routes) => Box::pin(async move { routes.call(request.map(Body::new)).await }),
            None => Box::pin(async { Ok(Status::unavailable("this node does not serve that yet").into_http()) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Peers;

    /// A service that says yes.
    #[derive(Clone)]
    struct Yes;

    impl NamedService for Yes {
        const NAME: &'static str = "test.Yes";
    }

    impl Service<http::Request<Body>> for Yes {
        type Response = Answer;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Answer, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            std::future::ready(Ok(Status::ok("yes").into_http()))
        }
    }

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { name: "CONTROLLER".into(), host: host.into(), port: 0 }
    }

    async fn code(peers: &Peers, address: SocketAddr) -> tonic::Code {
        let mut peer = tonic::client::Grpc::new(peers.peer(&address.to_string()).unwrap());
        peer.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/test.Yes/Ask");
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let answer: Result<tonic::Response<()>, Status> = peer.unary(tonic::Request::new(()), path, codec).await;
        answer.map_or_else(|status| status.code(), |_| tonic::Code::Ok)
    }

    #[tokio::test]
    async fn only_calls_with_the_token_reach_a_service_and_one_that_is_not_there_is_unavailable() {
        let token = Token("secret".into());
        let listener = ControllerListener::bind(&endpoint("127.0.0.1"), Some(token.clone())).await.unwrap();
        let (address, services, shutdown) = (listener.address(), listener.services(), CancellationToken::new());
        let serving = tokio::spawn(listener.serve(shutdown.clone()));
        let peers = Peers::new(Some(&token));
        assert_eq!(code(&peers, address).await, tonic::Code::Unavailable, "not added yet");
        services.add(Yes);
        // The service sends no message, which is an error of its own: the call has reached it.
        assert_eq!(code(&peers, address).await, tonic::Code::Internal);
        for wrong in [None, Some(Token("secreT".into())), Some(Token("secre".into()))] {
            assert_eq!(code(&Peers::new(wrong.as_ref()), address).await, tonic::Code::Unauthenticated);
        }
        shutdown.cancel();
        serving.await.unwrap();
        let refused = peers.probe(&address.to_string()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn off_loopback_a_token_is_demanded() {
        let refused = ControllerListener::bind(&endpoint(""), None).await.err().unwrap();
        assert!(matches!(refused, ListenError::NoToken(_)), "{refused}");
        ControllerListener::bind(&endpoint(""), Some(Token("secret".into()))).await.unwrap();
    }
}
