//! Starts and stops the parts in their order: log, publisher, driver; and waits until this broker is in its cluster.

use std::sync::Arc;

use ottla_core::Now;
use ottla_core::controller::{FoundCluster, Settings};
use tokio::task::JoinHandle;
use tracing::info;
use uuid::Uuid;

use super::balance::balance;
use super::driver::Driver;
use super::handle::{ControllerHandle, SubmitError};
use super::listener::Services;
use super::log::{MetadataLog, Role};
use super::peers::Peers;
use super::publisher::{Publisher, Replicas};
use super::quorum::{self, Door, Entrance, RaftLog, Way};
use super::rpc::Rpc;
use super::sessions::Keeper;
use crate::quota::Quotas;

/// What the service is told at its start.
pub struct Options {
    /// The log's folder and identity.
    pub log: quorum::Options,
    /// Drawn by this process; [`register`](super::register) with the same.
    pub incarnation: Uuid,
    /// The broker's properties.
    pub settings: Settings,
    /// How this broker comes to its cluster.
    pub entrance: Entrance,
    /// The CONTROLLER listeners of the other nodes.
    pub peers: Peers,
    /// Where they ask this one about the quorum.
    pub door: Door,
    /// Where this node's own services are added.
    pub services: Services,
    /// What goes by the quotas of clients.
    pub quotas: Arc<Quotas>,
}

/// Why the metadata cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log.
    #[error(transparent)]
    Log(#[from] quorum::StartError),
    /// The cluster could not be founded.
    #[error("cannot found the cluster: {0}")]
    Found(#[from] SubmitError),
    /// The cluster has no place for this broker, or for its disk (exit code 3).
    #[error(transparent)]
    Refused(#[from] quorum::Refusal),
    /// The metadata is another cluster's (exit code 3).
    #[error("the metadata log is that of cluster {found}, this broker belongs to {expected}")]
    OtherCluster {
        /// What configuration or disks say.
        expected: String,
        /// What the log says.
        found: String,
    },
}

impl StartError {
    /// Whether the disk is not this broker's, or was written by a newer Ottla, and must not be touched (exit code 3).
    pub fn is_identity(&self) -> bool {
        match self {
            Self::OtherCluster { .. } | Self::Refused(_) | Self::Log(quorum::StartError::OtherVoter { .. }) => true,
            Self::Log(error) => error.is_from_a_newer_version(),
            Self::Found(_) => false,
        }
    }
}

/// The running metadata of a broker.
pub struct Service {
    log: Arc<RaftLog>,
    handle: ControllerHandle,
    tasks: [JoinHandle<()>; 4],
}

impl Service {
    /// Starts the metadata, and returns once this broker is in its cluster and has its image: founded, resumed or taken
    /// in. Waits for as long as there is no leader.
    ///
    /// `replicas` get nothing to do until [`register`](super::register) has begun this uptime.
    pub async fn start(
        options: Options,
        replicas: Arc<dyn Replicas>,
        now: impl Fn() -> Now + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let Options { log, incarnation, settings, entrance, peers, door, services, quotas } = options;
        let me = log.me.broker();
        let log = RaftLog::start(log, entrance.clone(), peers.clone()).await?;
        door.open(&log);
        let publisher = Publisher::new(me, incarnation, log.committed(), replicas, quotas);
        let (driver, handle) = Driver::new(Arc::clone(&log), settings.clone(), publisher.published(), peers, now);
        let ways = (handle.local.clone(), handle.remote.clone());
        let (keeper, doorbell) =
            Keeper::new((me, options.incarnation), settings.clone(), log.role(), log.committed(), ways);
        let rpc = Rpc {
            local: handle.local.clone(),
            role: log.role(),
            committed: log.committed(),
            settings: settings.clone(),
            doorbell,
        };
        services.add(rpc.into_service());
        let tasks = [
            tokio::spawn(publisher.run()),
            tokio::spawn(driver.run()),
            tokio::spawn(keeper.run()),
            tokio::spawn(balance(settings, log.role(), handle.local.clone())),
        ];
        let service = Self { log, handle, tasks };
        match service.enter(&entrance).await {
            Ok(cluster_id) => {
                info!(cluster = %cluster_id, "metadata is ready");
                door.belongs_to(&cluster_id);
                Ok(service)
            }
            Err(error) => {
                service.shutdown().await;
                Err(error)
            }
        }
    }

    /// Waits until the cluster is there and this broker belongs to it; founds it where this node leads an empty log.
    async fn enter(&self, entrance: &Entrance) -> Result<String, StartError> {
        let (mut images, mut role) = (self.handle.watch(), self.log.role());
        let found = loop {
            let found = images.borrow_and_update().cluster_id().to_owned();
            if !found.is_empty() {
                break found;
            }
            if *role.borrow_and_update() == Role::Leader {
                let cluster_id = entrance.cluster_id.clone();
                match self.handle.submit(FoundCluster { cluster_id }).await {
                    Ok(_) | Err(SubmitError::TimedOut) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            tokio::select! {
                _ = images.changed() => {}
                _ = role.changed() => {}
                refusal = self.log.sent_away() => return Err(refusal.into()),
                _ = self.log.stopped() => return Err(SubmitError::Stopped.into()),
            }
        };
        if entrance.way == Way::Join {
            self.log.admitted().await?;
        }
        let expected = entrance.cluster_id.clone();
        if expected.is_empty() || expected == found {
            return Ok(found);
        }
        Err(StartError::OtherCluster { expected, found })
    }

    /// Asks the controller, and sees the cluster.
    pub fn handle(&self) -> ControllerHandle {
        self.handle.clone()
    }

    /// The metadata log.
    pub fn log(&self) -> &Arc<RaftLog> {
        &self.log
    }

    /// Stops. Commands that wait get no answer.
    pub async fn shutdown(&self) {
        self.log.shutdown().await;
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A new cluster id: 128 random bits in 22 characters of URL-safe base64, as Kafka writes them.
pub fn new_cluster_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = Uuid::new_v4().as_u128();
    let sextet = |place: u32| match 122_u32.checked_sub(6 * place) {
        Some(shift) => bits >> shift,
        None => bits << 4, // the last character has two bits
    };
    (0..22).map(|place| ALPHABET[(sextet(place) & 63) as usize] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_22_characters_of_url_safe_base64_and_never_the_same() {
        let ids: std::collections::BTreeSet<_> = (0..100).map(|_| new_cluster_id()).collect();
        assert_eq!(ids.len(), 100);
        for id in ids {
            assert!(id.len() == 22 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{id}");
            assert!("AQgw".contains(&id[21..]), "{id}: the last character has two bits");
        }
    }
}
