//! Begins this broker's uptime: registers it, and has it unfenced once it has seen its own registration.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_core::controller::{BrokerHeartbeat, PreviousStop, RegisterBroker, Wish, supported_features};
use ottla_core::metadata::Endpoint;
use ottla_core::{BrokerEpoch, BrokerId, DirectoryId};
use tracing::info;
use uuid::Uuid;

use super::handle::{ControllerHandle, SubmitError};

/// How long to wait before asking again when nobody, or somebody else, is the controller.
const RETRY: Duration = Duration::from_millis(50);

/// What this process is: an uptime of a broker.
#[derive(Clone, Debug)]
pub struct Uptime {
    /// `node.id`.
    pub broker: BrokerId,
    /// Drawn at start; the [`Publisher`](super::Publisher) must have been given the same.
    pub incarnation: Uuid,
    /// The cluster that the disks belong to.
    pub cluster_id: String,
    /// Advertised addresses.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Usable log directories.
    pub directories: Vec<DirectoryId>,
    /// How the uptime before ended, and what recovery found.
    pub previous: PreviousStop,
}

/// Registers and unfences; returns the epoch once this broker serves its partitions.
pub async fn register(controller: &ControllerHandle, uptime: Uptime) -> Result<BrokerEpoch, SubmitError> {
    let broker = uptime.broker;
    let features = supported_features().map(|(name, range)| (name.to_owned(), range)).collect::<BTreeMap<_, _>>();
    let registration = RegisterBroker {
        broker,
        cluster_id: uptime.cluster_id,
        incarnation: uptime.incarnation,
        endpoints: uptime.endpoints,
        rack: uptime.rack,
        directories: uptime.directories,
        features,
        previous: uptime.previous,
    };
    let epoch = retry(|| controller.submit(registration.clone())).await?;
    loop {
        let applied = controller.image().index();
        let heartbeat = BrokerHeartbeat { broker, epoch, applied, wish: Wish::Serve };
        let status = retry(|| controller.submit(heartbeat.clone())).await?;
        if !status.fenced {
            info!(epoch = epoch.0, "registered and serving");
            return Ok(epoch);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Asks until a controller answers.
async fn retry<R, F>(ask: impl Fn() -> F) -> Result<R, SubmitError>
where
    F: Future<Output = Result<R, SubmitError>>,
{
    loop {
        match ask().await {
            Err(SubmitError::NotController { .. }) => tokio::time::sleep(RETRY).await,
            answer => return answer,
        }
    }
}
