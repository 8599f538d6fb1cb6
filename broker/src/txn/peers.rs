//! Connections to other brokers for what coordinators ask of them: one a broker, opened when needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::BrokerId;
use ottla_protocol::client::{ClientConfig, Connection, Error};
use ottla_protocol::codec::Request;
use tokio::sync::Mutex;

use crate::broker::Broker;

/// How long a connection may take to come about, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why another broker gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The broker is not known to the cluster, or fenced.
    #[error("broker {0} has no address at the moment")]
    NoAddress(BrokerId),
    /// The connection failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// The connections.
#[derive(Default)]
pub struct Peers {
    open: Mutex<HashMap<BrokerId, Arc<Mutex<Option<Connection>>>>>,
}

impl Peers {
    /// Asks `peer`.
    pub async fn call<R: Request>(
        &self,
        broker: &Broker,
        peer: BrokerId,
        request: &R,
    ) -> Result<R::Response, Unanswered> {
        let connection = self.connection(broker, peer).await?;
        Ok(connection.call(request, i16::MAX).await?)
    }

    async fn connection(&self, broker: &Broker, peer: BrokerId) -> Result<Connection, Unanswered> {
        let image = broker.image();
        let endpoint = image.broker(peer).filter(|peer| !peer.fenced);
        let endpoint = endpoint.and_then(|peer| peer.endpoint(&broker.config.listeners.inter_broker));
        let endpoint = endpoint.ok_or(Unanswered::NoAddress(peer))?;
        let slot = Arc::clone(self.open.lock().await.entry(peer).or_default());
        // Held while the connection comes about, so that those who wait share it.
        let mut slot = slot.lock().await;
        let address = format!("{}:{}", endpoint.host, endpoint.port);
        if let Some(open) = slot.as_ref().filter(|open| !open.is_closed() && open.address() == address) {
            return Ok(open.clone());
        }
        let config = ClientConfig {
            connect_timeout: PATIENCE,
            request_timeout: PATIENCE,
            ..ClientConfig::new(format!("broker-{}-coordinator", broker.id()))
        };
        Ok(slot.insert(Connection::open(&endpoint.host, endpoint.port, &config).await?).clone())
    }
}
