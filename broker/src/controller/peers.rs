//! The other nodes' CONTROLLER listeners: one HTTP/2 connection an address, made when it is needed, used by all.
//!
//! A call on a peer that is not there fails within [`CONNECT_TIMEOUT`]; the next call dials anew. How long an answer may
//! take is for the caller to say.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use ottla_protocol::client::{HostsFileThenDns, Resolve};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tonic::codegen::{InterceptedService, Service, http};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use super::listener::Token;

/// How long a dial may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);

/// How often an open connection is tried out.
const PING: Duration = Duration::from_secs(1);
/// How long the peer may take to answer before the connection is given up.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// What generated clients are made of: `SomethingClient::new(peers.peer(address))`.
pub type Peer = InterceptedService<Channel, Credentials>;

/// Adds the cluster's token to each call.
#[derive(Clone, Debug)]
pub struct Credentials(Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// The connections to peers. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    credentials: Credentials,
    dial: Dial,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

impl Peers {
    /// Peers who are told `token`, their names found as the environment says.
    pub fn new(token: Option<&Token>) -> Self {
        Self::with_resolver(token, Arc::new(HostsFileThenDns::from_env()))
    }

    /// Peers whose names `resolver` finds.
    pub fn with_resolver(token: Option<&Token>, resolver: Arc<dyn Resolve>) -> Self {
        // A token that no header can carry is refused by every peer, as a wrong one is.
        let header = token.and_then(|token| MetadataValue::try_from(token.header()).ok());
        let header = header.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        Self { credentials: Credentials(header), dial: Dial { resolver }, channels: Arc::default() }
    }

    /// The peer whose CONTROLLER listener is at `address` (`host:port`); does not dial yet.
    pub fn peer(&self, address: &str) -> Result<Peer, InvalidAddress> {
        let mut channels = self.channels.lock();
        let channel = match channels.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let endpoint = Endpoint::from_shared(format!("http://{address}"));
                let endpoint = endpoint.map_err(|_| InvalidAddress(address.to_owned()))?;
                // A peer whose host is gone without a word must not keep its connection for as long as TCP would.
                let endpoint = endpoint.http2_keep_alive_interval(PING).keep_alive_timeout(PING_TIMEOUT);
                let endpoint = endpoint.keep_alive_while_idle(true);
                let channel = endpoint.connect_with_connector_lazy(self.dial.clone());
                channels.entry(address.to_owned()).or_insert(channel).clone()
            }
        };
        Ok(InterceptedService::new(channel, self.credentials.clone()))
    }

    /// Dials `address` anew, apart from all connections there are, and hangs up: whether anybody listens there.
    /// [`io::ErrorKind::ConnectionRefused`] means that the process is gone.
    pub async fn probe(&self, address: &str) -> io::Result<()> {
        let uri = address.parse::<http::uri::Authority>().map_err(io::Error::other)?;
        let port = uri.port_u16().ok_or_else(|| io::Error::other("the address has no port"))?;
        connect(&*self.dial.resolver, uri.host(), port).await.map(drop)
    }
}

/// What should be an address is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not host:port")]
pub struct InvalidAddress(pub String);

impl From<InvalidAddress> for Status {
    fn from(error: InvalidAddress) -> Self {
        Self::internal(error.to_string())
    }
}

/// The connector of all channels.
#[derive(Clone)]
struct Dial {
    resolver: Arc<dyn Resolve>,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let resolver = Arc::clone(&self.resolver);
        Box::pin(async move {
            let port = uri.port_u16().ok_or_else(|| io::Error::other("the address has no port"))?;
            let stream = connect(&*resolver, uri.host().unwrap_or_default(), port).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}

async fn connect(resolver: &dyn Resolve, host: &str, port: u16) -> io::Result<TcpStream> {
    let dial = async {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in resolver.resolve(host, port).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "nobody answered the dial");
    tokio::time::timeout(CONNECT_TIMEOUT, dial).await.map_err(late)?
}
