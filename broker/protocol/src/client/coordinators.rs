//! Who coordinates which group.

use super::{BrokerEndpoint, BrokerId, Client, Error};
use crate::ErrorCode;
use crate::codec::Str;
use crate::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

impl Client {
    /// The coordinator of a group, from the cache or by asking any broker.
    pub(super) async fn coordinator(&self, group: &str) -> Result<BrokerEndpoint, Error> {
        let cached = self.cluster.coordinators.lock().get(group).copied();
        if let Some(endpoint) = cached.and_then(|id| self.metadata().brokers.get(&id).cloned()) {
            return Ok(endpoint);
        }
        let connection = self.any_connection().await?;
        let version = connection.version::<FindCoordinatorRequest>(i16::MAX)?;
        let request = if version >= 4 {
            FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() }
        } else {
            FindCoordinatorRequest { key: group.into(), ..Default::default() }
        };
        let found = only_coordinator(connection.call(&request, version).await?, version);
        if found.error_code.is_error() {
            return Err(Error::Broker { what: format!("coordinator of group {group}"), code: found.error_code });
        }
        let id = BrokerId(found.node_id);
        self.cluster.coordinators.lock().insert(group.into(), id);
        Ok(BrokerEndpoint { id, host: found.host, port: found.port, rack: None })
    }

    /// Forgets who coordinates a group.
    pub(super) fn forget_coordinator(&self, group: &str) {
        self.cluster.coordinators.lock().remove(group);
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
