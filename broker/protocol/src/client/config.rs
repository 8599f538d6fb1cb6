//! What a client may take and how long.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::resolve::{HostsFileThenDns, Resolve};
use crate::ApiKey;
use crate::codec::Str;

/// Settings of a [`Client`](super::Client); start from the default.
#[derive(Clone)]
pub struct ClientConfig {
    /// What brokers log the client as.
    pub client_id: Str,
    /// For one TCP connect and version negotiation.
    pub connect_timeout: Duration,
    /// From sending a request to its answer; after it the connection is closed. Must exceed every long poll.
    pub request_timeout: Duration,
    /// For a call in all, retries and reconnects included.
    pub deadline: Duration,
    /// Pause before the first retry; doubled for each further one, with jitter.
    pub retry_backoff: Duration,
    /// The longest pause between retries.
    pub retry_backoff_max: Duration,
    /// Metadata older than this is fetched again before it is used.
    pub metadata_max_age: Duration,
    /// The largest response taken, in bytes; its memory is claimed only as it arrives.
    pub max_response_size: usize,
    /// The highest versions to use of some APIs. By default those of OffsetCommit and OffsetFetch that still name topics,
    /// since later ones carry topic ids only.
    pub max_versions: Vec<(ApiKey, i16)>,
    /// Turns host names into addresses.
    pub resolver: Arc<dyn Resolve>,
}

impl ClientConfig {
    /// The defaults, under a client id.
    pub fn new(client_id: impl Into<Str>) -> Self {
        Self { client_id: client_id.into(), ..Self::default() }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            client_id: Str::from_static("ottla"),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(40),
            deadline: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(20),
            retry_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            max_response_size: 256 << 20,
            max_versions: vec![(ApiKey::OffsetCommit, 9), (ApiKey::OffsetFetch, 9)],
            resolver: Arc::new(HostsFileThenDns::from_env()),
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("client_id", &self.client_id)
            .field("request_timeout", &self.request_timeout)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
