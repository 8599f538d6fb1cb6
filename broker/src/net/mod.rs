//! Listeners and connections: bytes in, frames to the [`Service`], answers out in the order of the requests.
//!
//! Must not know any API: what a frame means is the service's business. Memory, connections and time are bounded here.

mod connection;
mod input;
mod limits;
mod listener;
mod loops;
mod memory;
mod output;
mod pacing;
mod pending;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::codec::EncodeError;
use tokio::time::Instant;

pub use limits::ConnectionLimits;
pub use listener::{Listener, Shared};
pub use loops::Loops;
pub use memory::{Claim, Evicted, RequestMemory};
pub use output::{FilePart, Response};
pub use pending::{FuturePending, Pending};

/// What the network layer heeds of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `socket.request.max.bytes`: the largest frame, without its size prefix.
    pub request_max_bytes: usize,
    /// `queued.max.request.bytes`, where set: memory for requests on their way in, over all connections.
    pub request_memory: usize,
    /// `connections.max.idle.ms`: a connection without a request for this long is closed.
    pub max_idle: Duration,
    /// How long a new connection may take to send its first request.
    pub first_request: Duration,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_address: usize,
}

impl From<&crate::config::Net> for Settings {
    fn from(net: &crate::config::Net) -> Self {
        Self {
            request_max_bytes: net.max_request_bytes,
            request_memory: net.request_memory,
            max_idle: net.max_idle.unwrap_or(NEVER),
            max_connections: net.max_connections,
            max_connections_per_address: net.max_connections_per_ip,
            ..Self::default()
        }
    }
}

/// A century: long enough to mean never, short enough to be added to any moment.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_max_bytes: 100 << 20,
            request_memory: 64 << 20,
            max_idle: Duration::from_secs(600),
            first_request: Duration::from_secs(60),
            max_connections: usize::MAX,
            max_connections_per_address: usize::MAX,
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// Address of the client.
    pub address: SocketAddr,
    /// Name of the listener it came in by; its answers hold the addresses advertised for that listener.
    pub listener: Arc<str>,
    /// Name and version of the client's software, once ApiVersions has told them (KIP-511).
    pub software: OnceLock<(String, String)>,
    /// When it came.
    since: Instant,
    /// No further request is begun before, in microseconds from `since` on; 0 where nothing has held it back lately.
    held_until: AtomicU64,
}

impl Peer {
    /// The client at `address`, come in by the listener called `listener`.
    pub fn new(address: SocketAddr, listener: Arc<str>) -> Self {
        Self { address, listener, software: OnceLock::new(), since: Instant::now(), held_until: AtomicU64::new(0) }
    }

    /// Has the connection begin no further request for `time` from now (KIP-219); what it has begun goes on.
    pub fn hold_back(&self, time: Duration) {
        if !time.is_zero() {
            let until = (self.since.elapsed() + time).as_micros();
            self.held_until.fetch_max(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// When the next request may begin, if not now.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        let held = self.held_until.load(Ordering::Relaxed);
        if held == 0 {
            return None;
        }
        let until = self.since + Duration::from_micros(held);
        if Instant::now() < until {
            return Some(until);
        }
        // Unless it has been held back anew meanwhile.
        let _ = self.held_until.compare_exchange(held, 0, Ordering::Relaxed, Ordering::Relaxed);
        None
    }
}

/// What becomes of one request.
pub enum Step {
    /// The answer is there.
    Answer(Response),
    /// No answer is due (acks=0).
    NoAnswer,
    /// The answer comes later.
    Wait(Box<dyn Pending>),
    /// The connection ends; the reason goes to the log.
    Close(CloseReason),
}

/// Why a connection is closed from our side.
#[derive(Debug, thiserror::Error)]
pub enum CloseReason {
    /// The size prefix is negative, less than a header, or above `socket.request.max.bytes`.
    #[error("frame size {0} is not allowed")]
    FrameSize(i32),
    /// The API is not served here, or not in this version.
    #[error("api key {key} in version {version} is not served")]
    Unsupported {
        /// API key of the request.
        key: i16,
        /// Version of the request.
        version: i16,
    },
    /// The bytes are not the request they claim to be.
    #[error("request with api key {key} version {version} does not parse: {reason}")]
    Malformed {
        /// API key of the request.
        key: i16,
        /// Version of the request.
        version: i16,
        /// What is wrong.
        reason: String,
    },
    /// A response cannot be put into the version asked for: a fault of ours.
    #[error("the response cannot be encoded: {0}")]
    Unanswerable(EncodeError),
    /// A produce with acks=0 failed; closing is the only way to tell (as Kafka does).
    #[error("a produce with acks=0 failed")]
    UnansweredFailure,
    /// No request for too long.
    #[error("no request within the time allowed")]
    Idle,
    /// A request has begun to arrive and is not whole after the time allowed.
    #[error("a request did not arrive whole within the time allowed")]
    Unfinished,
    /// Its request was the slowest when memory ran short.
    #[error(transparent)]
    Evicted(#[from] Evicted),
    /// The client has gone, or the network failed.
    #[error("connection lost: {0}")]
    Io(#[from] std::io::Error),
    /// The broker stops.
    #[error("the broker stops")]
    Shutdown,
}

/// What frames are handed to.
pub trait Service: Send + Sync + 'static {
    /// Whether a connection from `address` is taken. Otherwise it is closed after the time given, which slows down a client
    /// that would come again at once.
    fn admit(&self, address: IpAddr) -> Result<(), Duration>;

    /// Whether requests of this API and version are worth receiving; asked as soon as a frame that is not whole yet has
    /// told them.
    fn expects(&self, key: i16, version: i16) -> bool;

    /// Handles one request. Called in the order of arrival; when it returns, the request's place in that order is
    /// fixed, whatever its answer still waits for.
    fn call(&self, peer: &Arc<Peer>, frame: Bytes) -> Step;

    /// A request of the API `key` has been answered, or needs no answer, `took` after its frame was whole.
    fn answered(&self, key: i16, took: Duration);
}
