//! Which broker a request goes to, and which answers send it elsewhere.

use std::sync::Arc;

use uuid::Uuid;

use super::coordinators::Coordinated;
use super::pool::{Lane, Target};
use super::{BrokerEndpoint, BrokerId, Client, Connection, Error};
use crate::codec::Wire;
use crate::{ApiKey, ErrorCode};

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    Any,
    Broker(BrokerId),
    Leader { topic: &'a str, partition: i32 },
    Coordinator(Coordinated<'a>),
    Controller,
}

impl Route<'_> {
    /// Whether an answer says that the same request may succeed later or elsewhere, and that nothing speaks against
    /// sending it again.
    pub(super) fn should_retry(self, response: &impl Wire) -> bool {
        let mut retry = false;
        response.visit_errors(&mut |code| retry |= self.is_retriable(code));
        retry
    }

    fn is_retriable(self, code: ErrorCode) -> bool {
        match self {
            Self::Any | Self::Broker(_) => false,
            Self::Leader { .. } => code.is_retriable(),
            Self::Coordinator(_) => matches!(
                code,
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
                    | ErrorCode::COORDINATOR_NOT_AVAILABLE
                    | ErrorCode::NOT_COORDINATOR
            ),
            Self::Controller => code == ErrorCode::NOT_CONTROLLER,
        }
    }
}

impl Client {
    /// A connection to where `route` leads, and the id of the topic that it names (else zero).
    pub(super) async fn connection_for(&self, route: Route<'_>, key: ApiKey) -> Result<(Connection, Uuid), Error> {
        let mut topic_id = Uuid::nil();
        let endpoint = match route {
            Route::Any => None,
            Route::Broker(id) => Some(self.endpoint(id).await?),
            Route::Leader { topic, partition } => {
                let metadata = self.topic(topic).await?;
                topic_id = metadata.id;
                let leader = metadata.partitions.get(&partition).and_then(|partition| partition.leader);
                let leader = leader.ok_or_else(|| Error::NoLeader { topic: topic.to_owned(), partition })?;
                Some(self.endpoint(leader).await?)
            }
            Route::Coordinator(of) => Some(self.coordinator(of).await?),
            Route::Controller => match self.metadata().controller {
                Some(id) => Some(self.endpoint(id).await?),
                None => None,
            },
        };
        let connection = match endpoint {
            Some(broker) => self.pool.get(Target::Broker(broker.id, Lane::of(key)), &broker.host, broker.port).await?,
            None => self.any_connection().await?,
        };
        Ok((connection, topic_id))
    }

    /// A connection to any broker: one of those known, in random order, else a bootstrap address.
    pub(super) async fn any_connection(&self) -> Result<Connection, Error> {
        if let Some(connection) = self.pool.any_open() {
            return Ok(connection);
        }
        let mut last = Error::NoAddress(String::new());
        let mut known: Vec<BrokerEndpoint> = self.metadata().brokers.values().cloned().collect();
        rand::seq::SliceRandom::shuffle(&mut known[..], &mut rand::rng());
        for broker in known {
            match self.pool.get(Target::Broker(broker.id, Lane::General), &broker.host, broker.port).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        for address in &self.cluster.bootstrap {
            match self.pool.get_bootstrap(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn endpoint(&self, id: BrokerId) -> Result<BrokerEndpoint, Error> {
        if let Some(endpoint) = self.metadata().brokers.get(&id) {
            return Ok(endpoint.clone());
        }
        let metadata = self.refresh_metadata(&[]).await?;
        metadata.brokers.get(&id).cloned().ok_or(Error::UnknownBroker(id))
    }

    /// Forgets what led to a failed attempt, so that the next one asks anew.
    pub(super) fn forget(&self, route: Route<'_>) {
        match route {
            Route::Any => {}
            Route::Leader { topic, .. } => self.forget_topic(topic),
            Route::Coordinator(of) => self.forget_coordinator(of),
            Route::Broker(id) => self.forget_broker(id),
            Route::Controller => {
                let controller = self.metadata().controller;
                controller.into_iter().for_each(|id| self.forget_broker(id));
            }
        }
    }

    /// Forgets where a broker is, and who the controller is if it was that one.
    fn forget_broker(&self, id: BrokerId) {
        let mut metadata = self.cluster.metadata.lock();
        let metadata = Arc::make_mut(&mut metadata);
        metadata.brokers.remove(&id);
        metadata.controller.take_if(|controller| *controller == id);
    }
}
