//! An async client of a Kafka cluster: pooled connections, version negotiation, metadata, routing and retries.
//!
//! The operator, the command line, the tests and the replica fetcher speak to brokers through it. It is no producer or
//! consumer: batches are made and read by the caller, who also keeps offsets, groups and sequences.

mod backoff;
mod config;
mod connection;
mod convenience;
mod coordinators;
mod direct;
mod error;
mod handshake;
mod metadata;
mod peer;
mod pool;
mod resolve;
mod route;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use self::backoff::Backoff;
use self::coordinators::{Coordinated, CoordinatorKey};
use self::pool::Pool;
use self::route::Route;
use crate::codec::Request;

pub use config::ClientConfig;
pub use connection::Connection;
pub use convenience::FetchLimits;
pub use direct::DirectConnection;
pub use error::Error;
pub use metadata::{BrokerEndpoint, BrokerId, ClusterMetadata, PartitionMetadata, TopicMetadata};
pub use resolve::{HostsFileThenDns, Resolve, Resolving};

/// A handle on a cluster; clones share connections and metadata.
///
/// A broker answers the requests of one connection in order, so one that waits holds up those behind it. The client
/// therefore keeps three connections to a broker: for Fetch, for group membership and for all else. Several members of one
/// group need clients of their own: see [`Client::with_own_connections`].
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    cluster: Arc<Cluster>,
    pool: Arc<Pool>,
}

/// What clones of a client know together.
#[derive(Debug)]
struct Cluster {
    bootstrap: Vec<String>,
    metadata: Mutex<Arc<ClusterMetadata>>,
    /// Held while metadata is fetched, so that many waiting callers ask once.
    refreshing: tokio::sync::Mutex<()>,
    coordinators: Mutex<HashMap<CoordinatorKey, BrokerId>>,
}

impl Client {
    /// Connects to the first of the `bootstrap` addresses (`host:port`) that answers, and asks it for the brokers of the
    /// cluster. Retries until [`ClientConfig::deadline`] is over.
    pub async fn connect(bootstrap: impl IntoIterator<Item = String>, config: ClientConfig) -> Result<Self, Error> {
        let cluster = Cluster {
            bootstrap: bootstrap.into_iter().collect(),
            metadata: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            coordinators: Mutex::default(),
        };
        let config = Arc::new(config);
        let client = Self { pool: Arc::new(Pool::new(config.clone())), cluster: Arc::new(cluster), config };
        let deadline = Instant::now() + client.config.deadline;
        let mut backoff = Backoff::new(&client.config);
        loop {
            let error = match tokio::time::timeout_at(deadline, client.refresh_metadata(&[])).await {
                Ok(Ok(_)) => return Ok(client),
                Ok(Err(error)) if error.is_retriable() => error,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(Error::DeadlineExceeded),
            };
            if !backoff.pause_before(deadline).await {
                return Err(error);
            }
        }
    }

    /// The same client with another limit for each call, retries included.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { config: Arc::new(ClientConfig { deadline, ..(*self.config).clone() }), ..self.clone() }
    }

    /// The same client with connections of its own, for a group member or a long poll that must not hold up others.
    #[must_use]
    pub fn with_own_connections(&self) -> Self {
        Self { pool: Arc::new(Pool::new(self.config.clone())), ..self.clone() }
    }

    /// Asks any broker.
    pub async fn send_any<R: Request>(&self, request: &R) -> Result<R::Response, Error> {
        self.send(Route::Any, |_| Outgoing::new(request)).await
    }

    /// Asks one broker.
    pub async fn send_to<R: Request>(&self, broker: BrokerId, request: &R) -> Result<R::Response, Error> {
        self.send(Route::Broker(broker), |_| Outgoing::new(request)).await
    }

    /// Asks the leader of a partition, again if the answer has a retriable error. The request should be about that
    /// partition alone, and name its topic by name and by id if it has both fields.
    pub async fn send_to_leader<R: Request>(
        &self,
        topic: &str,
        partition: i32,
        request: &R,
    ) -> Result<R::Response, Error> {
        self.send(Route::Leader { topic, partition }, |_| Outgoing::new(request)).await
    }

    /// Asks the coordinator of a group, again while it moves or loads.
    pub async fn send_to_coordinator<R: Request>(&self, group: &str, request: &R) -> Result<R::Response, Error> {
        self.send(Route::Coordinator(Coordinated::Group(group)), |_| Outgoing::new(request)).await
    }

    /// Asks the coordinator of a transactional id, again while it moves or loads.
    pub async fn send_to_transaction_coordinator<R: Request>(
        &self,
        transactional_id: &str,
        request: &R,
    ) -> Result<R::Response, Error> {
        let of = Coordinated::TransactionalId(transactional_id);
        self.send(Route::Coordinator(of), |_| Outgoing::new(request)).await
    }

    /// Asks the broker that the cluster names as its controller, or any if it names none.
    pub async fn send_to_controller<R: Request>(&self, request: &R) -> Result<R::Response, Error> {
        self.send(Route::Controller, |_| Outgoing::new(request)).await
    }

    /// Sends what `build` makes until the answer has no error that a retry may cure, or the deadline is over; then the
    /// last answer or error is returned as it is.
    async fn send<'r, R: Request>(
        &self,
        route: Route<'_>,
        build: impl Fn(Uuid) -> Outgoing<'r, R>,
    ) -> Result<R::Response, Error> {
        let deadline = Instant::now() + self.config.deadline;
        let mut backoff = Backoff::new(&self.config);
        let mut last = Error::DeadlineExceeded;
        loop {
            let outcome = match tokio::time::timeout_at(deadline, self.attempt(route, &build)).await {
                Err(_) => return Err(last),
                Ok(Ok(response)) if !route.should_retry(&response) => return Ok(response),
                Ok(Err(error)) if !error.is_retriable() => return Err(error),
                Ok(outcome) => outcome,
            };
            self.forget(route);
            if !backoff.pause_before(deadline).await {
                return outcome;
            }
            if let Err(error) = outcome {
                last = error;
            }
        }
    }

    async fn attempt<'r, R: Request>(
        &self,
        route: Route<'_>,
        build: &impl Fn(Uuid) -> Outgoing<'r, R>,
    ) -> Result<R::Response, Error> {
        let (connection, topic_id) = self.connection_for(route, R::KEY).await?;
        let outgoing = build(topic_id);
        if outgoing.is_answered {
            connection.call(&*outgoing.request, outgoing.max_version).await
        } else {
            connection.post(&*outgoing.request, outgoing.max_version).await?;
            Ok(R::Response::default())
        }
    }
}

/// A request of one attempt.
struct Outgoing<'r, R: Request> {
    request: Cow<'r, R>,
    max_version: i16,
    /// False for Produce with acks=0.
    is_answered: bool,
}

impl<'r, R: Request> Outgoing<'r, R> {
    fn new(request: &'r R) -> Self {
        Self { request: Cow::Borrowed(request), max_version: i16::MAX, is_answered: true }
    }

    /// A request that names a topic by its id, or at most at version `by_name` if it has none.
    fn with_topic(request: R, topic_id: Uuid, by_name: i16) -> Self {
        let max_version = if topic_id.is_nil() { by_name } else { i16::MAX };
        Self { request: Cow::Owned(request), max_version, is_answered: true }
    }
}
