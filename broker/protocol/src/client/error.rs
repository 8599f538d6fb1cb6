//! Why a call to a cluster failed.

use std::io;
use std::sync::Arc;

use super::BrokerId;
use crate::codec::{DecodeError, EncodeError};
use crate::frame::SizeError;
use crate::{ApiKey, ErrorCode};

/// Why a call got no answer. What an answer says is in the answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An address that is not `host:port`.
    #[error("'{0}' is not an address of the form host:port")]
    InvalidAddress(String),
    /// No address was given, or none of a name was found.
    #[error("no address to connect to{0}")]
    NoAddress(String),
    /// The host name could not be resolved.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// No TCP connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The connection ended before the answer.
    #[error("disconnected from {address}: {reason}")]
    Disconnected {
        /// The broker's address.
        address: String,
        /// What ended it.
        reason: String,
    },
    /// One request took longer than [`ClientConfig::request_timeout`](super::ClientConfig::request_timeout).
    #[error("{address} did not answer {api} in time")]
    RequestTimedOut {
        /// The broker's address.
        address: String,
        /// What was asked.
        api: ApiKey,
    },
    /// The call took longer than [`ClientConfig::deadline`](super::ClientConfig::deadline).
    #[error("deadline exceeded")]
    DeadlineExceeded,
    /// The broker has no version of the API that this client has.
    #[error("{address} serves no version of {api} that this client can use")]
    UnsupportedApi {
        /// The broker's address.
        address: String,
        /// What was asked.
        api: ApiKey,
    },
    /// The metadata has no such broker.
    #[error("broker {0} is not in the metadata")]
    UnknownBroker(BrokerId),
    /// The partition has no leader, or the topic no such partition.
    #[error("{topic}-{partition} has no leader")]
    NoLeader {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A broker answered a request that the client itself made, for metadata or a coordinator, with an error.
    #[error("{what}: {code}")]
    Broker {
        /// What the client asked for.
        what: String,
        /// The broker's answer.
        code: ErrorCode,
    },
    /// The request cannot be put into bytes.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The request has records that are elsewhere, which only responses may.
    #[error("a request cannot have external records")]
    ExternalRecords,
    /// The answer is no answer.
    #[error("{address} sent a malformed answer to {api}: {source}")]
    Decode {
        /// The broker's address.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// What is wrong with it.
        source: DecodeError,
    },
}

impl Error {
    /// Whether a later attempt, perhaps at another broker, may succeed.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Disconnected { .. }
            | Self::RequestTimedOut { .. }
            | Self::UnknownBroker(_)
            | Self::NoLeader { .. } => true,
            Self::Broker { code, .. } => code.is_retriable(),
            _ => false,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it closed the connection")]
    ByPeer,
    #[error(transparent)]
    Size(#[from] SizeError),
    #[error("it answered request {got} where {expected} was next")]
    OutOfOrder { expected: i32, got: i32 },
    #[error("it stopped reading")]
    NotReading,
    #[error("nobody uses it any more")]
    Unused,
    #[error("it answered though nothing was asked")]
    Unasked,
}
