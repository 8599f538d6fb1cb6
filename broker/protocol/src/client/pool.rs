//! The connections of a client, opened when first needed and again when lost.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::resolve::host_and_port;
use super::{BrokerId, ClientConfig, Connection, Error};
use crate::ApiKey;

/// Requests that may wait long keep to connections of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    General,
    Fetch,
    Group,
}

impl Lane {
    pub(super) fn of(key: ApiKey) -> Self {
        match key {
            ApiKey::Fetch => Self::Fetch,
            ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::Heartbeat | ApiKey::LeaveGroup => Self::Group,
            _ => Self::General,
        }
    }
}

/// What a connection is to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Broker(BrokerId, Lane),
    Bootstrap(String),
}

/// One connection at a time; the lock is held while it is opened, so that many callers open it once.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// Connections by target.
#[derive(Debug)]
pub(super) struct Pool {
    config: Arc<ClientConfig>,
    slots: Mutex<HashMap<Target, Slot>>,
}

impl Pool {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        Self { config, slots: Mutex::default() }
    }

    /// An open general connection, if there is one.
    pub(super) fn any_open(&self) -> Option<Connection> {
        let slots = self.slots.lock();
        let general = slots
            .iter()
            .filter(|(target, _)| matches!(target, Target::Bootstrap(_) | Target::Broker(_, Lane::General)));
        general.filter_map(|(_, slot)| slot.try_lock().ok()?.clone()).find(|connection| !connection.is_closed())
    }

    pub(super) async fn get_bootstrap(&self, address: &str) -> Result<Connection, Error> {
        let (host, port) = host_and_port(address).ok_or_else(|| Error::InvalidAddress(address.to_owned()))?;
        self.get(Target::Bootstrap(address.to_owned()), host, i32::from(port)).await
    }

    /// The connection to `target`, opened if there is none or if the broker has moved.
    pub(super) async fn get(&self, target: Target, host: &str, port: i32) -> Result<Connection, Error> {
        let slot = self.slots.lock().entry(target).or_default().clone();
        let mut slot = slot.lock().await;
        let address = format!("{host}:{port}");
        if let Some(connection) = slot.as_ref().filter(|open| !open.is_closed() && open.address() == address) {
            return Ok(connection.clone());
        }
        let port = u16::try_from(port).map_err(|_| Error::InvalidAddress(address.clone()))?;
        let connection = Connection::open(host, port, &self.config).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }
}
