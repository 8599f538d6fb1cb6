//! Who coordinates which group and which transactional id.

use std::fmt;

use super::{BrokerEndpoint, BrokerId, Client, Error};
use crate::ErrorCode;
use crate::codec::Str;
use crate::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

/// What is coordinated, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coordinated<'a> {
    Group(&'a str),
    TransactionalId(&'a str),
}

/// A [`Coordinated`] that is kept: the key type of FindCoordinator, and the name.
pub(super) type CoordinatorKey = (i8, Str);

impl<'a> Coordinated<'a> {
    fn key(self) -> (i8, &'a str) {
        match self {
            Self::Group(name) => (0, name),
            Self::TransactionalId(name) => (1, name),
        }
    }

    fn kept(self) -> CoordinatorKey {
        let (key_type, name) = self.key();
        (key_type, name.into())
    }
}

impl fmt::Display for Coordinated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group {name}"),
            Self::TransactionalId(name) => write!(f, "transactional id {name}"),
        }
    }
}

impl Client {
    /// The coordinator, from the cache or by asking any broker.
    pub(super) async fn coordinator(&self, of: Coordinated<'_>) -> Result<BrokerEndpoint, Error> {
        let cached = self.cluster.coordinators.lock().get(&of.kept()).copied();
        if let Some(endpoint) = cached.and_then(|id| self.metadata().brokers.get(&id).cloned()) {
            return Ok(endpoint);
        }
        let connection = self.any_connection().await?;
        let version = connection.version::<FindCoordinatorRequest>(i16::MAX)?;
        let (key_type, name) = of.key();
        let request = if version >= 4 {
            FindCoordinatorRequest { key_type, coordinator_keys: vec![name.into()], ..Default::default() }
        } else {
            FindCoordinatorRequest { key_type, key: name.into(), ..Default::default() }
        };
        let found = only_coordinator(connection.call(&request, version).await?, version);
        if found.error_code.is_error() {
            return Err(Error::Broker { what: format!("coordinator of {of}"), code: found.error_code });
        }
        let id = BrokerId(found.node_id);
        self.cluster.coordinators.lock().insert(of.kept(), id);
        Ok(BrokerEndpoint { id, host: found.host, port: found.port, rack: None })
    }

    /// Forgets who coordinates it.
    pub(super) fn forget_coordinator(&self, of: Coordinated<'_>) {
        self.cluster.coordinators.lock().remove(&of.kept());
    }
}

/// The answer to a question for one key, in the shape of the later versions.
fn only_coordinator(response: FindCoordinatorResponse, version: i16) -> Coordinator {
    if version >= 4 {
        let none = || Coordinator { error_code: ErrorCode::COORDINATOR_NOT_AVAILABLE, ..Default::default() };
        return response.coordinators.into_iter().next().unwrap_or_else(none);
    }
    Coordinator {
        key: Str::default(),
        node_id: response.node_id,
        host: response.host,
        port: response.port,
        error_code: response.error_code,
        error_message: response.error_message,
    }
}
