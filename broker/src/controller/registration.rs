//! Begins this broker's uptime: registers it, and opens the session in which it asks to serve.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_core::controller::{Error, PreviousStop, RegisterBroker, supported_features};
use ottla_core::metadata::Endpoint;
use ottla_core::{BrokerEpoch, BrokerId, DirectoryId};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use uuid::Uuid;

use super::handle::{ControllerHandle, SubmitError};
use super::life::Life;

/// How long another broker with this id is given to be found dead: its session time-out and some more.
const OTHER_MAY_DIE: Duration = Duration::from_secs(6);
/// How long to wait before asking again.
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
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
}

/// Registers and asks to serve; returns once this broker is unfenced and serves its partitions.
pub async fn register(controller: &ControllerHandle, uptime: Uptime) -> Result<Life, SubmitError> {
    let (broker, interval) = (uptime.broker, uptime.heartbeat_interval);
    let epoch = epoch_for(controller, uptime).await?;
    let life = Life::begin(controller.clone(), broker, epoch, interval);
    life.in_service().await?;
    info!(epoch = epoch.0, "registered and serving");
    Ok(life)
}

/// Asks until a controller answers, and a while longer if it takes this broker's predecessor for alive.
async fn epoch_for(controller: &ControllerHandle, uptime: Uptime) -> Result<BrokerEpoch, SubmitError> {
    let features = supported_features().map(|(name, range)| (name.to_owned(), range)).collect::<BTreeMap<_, _>>();
    let registration = RegisterBroker {
        broker: uptime.broker,
        cluster_id: uptime.cluster_id,
        incarnation: uptime.incarnation,
        endpoints: uptime.endpoints,
        rack: uptime.rack,
        directories: uptime.directories,
        features,
        previous: uptime.previous,
    };
    let begun = Instant::now();
    loop {
        match controller.submit(registration.clone()).await {
            Err(SubmitError::TimedOut) => warn!("no controller has taken the registration yet"),
            Err(SubmitError::Refused(Error::DuplicateBrokerRegistration(_))) if begun.elapsed() < OTHER_MAY_DIE => {
                sleep(RETRY).await;
            }
            answer => return answer,
        }
    }
}
