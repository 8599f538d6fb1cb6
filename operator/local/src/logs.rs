//! The door through which `GET …/pods/x/log` reaches whoever runs the containers.
//!
//! The API server keeps no logs of its own and must not know how a container is run.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// What a client asked for, already checked against the pod's spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid: a pod made again under the same name is another pod.
    pub uid: String,
    /// One of the containers (or init containers) of the pod's spec.
    pub container: String,
    /// Go on with new lines as they are written, until the container ends.
    pub follow: bool,
    /// The logs of the container's previous run.
    pub previous: bool,
    /// Begin with at most this many lines of what has been written so far.
    pub tail_lines: Option<u64>,
    /// Only lines written in the last so many seconds.
    pub since_seconds: Option<u64>,
    /// Put the time of writing (RFC 3339) and a space before each line.
    pub timestamps: bool,
    /// Stop after this many bytes.
    pub limit_bytes: Option<u64>,
}

/// Log lines as raw bytes; chunks need not end at line ends.
pub type LogStream = BoxStream<'static, std::io::Result<Bytes>>;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The container has not been started (400, as a real API server answers).
    #[error("container \"{container}\" in pod \"{pod}\" is waiting to start: {why}")]
    Waiting {
        /// The container asked for.
        container: String,
        /// Its pod.
        pod: String,
        /// The waiting reason, e.g. `ContainerCreating`.
        why: String,
    },
    /// `previous` was asked for and there was no earlier run (400).
    #[error("previous terminated container \"{container}\" in pod \"{pod}\" not found")]
    NoPrevious {
        /// The container asked for.
        container: String,
        /// Its pod.
        pod: String,
    },
    /// The log could not be read (500).
    #[error("the log could not be read: {0}")]
    Io(#[from] std::io::Error),
}

/// Implemented by the kubelet; handed to [`ApiServer::set_log_source`](crate::ApiServer::set_log_source).
pub trait LogSource: Send + Sync + 'static {
    /// Opens the log of one container. The stream is dropped when the client goes away.
    fn open(&self, request: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>>;
}
