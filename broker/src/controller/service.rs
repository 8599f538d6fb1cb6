//! Starts and stops the parts in their order: log, publisher, driver; and founds the cluster at the first start.

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
use super::log::MetadataLog;
use super::peers::Peers;
use super::publisher::{Publisher, Replicas};
use super::quorum::{self, RaftLog};
use super::rpc::Rpc;
use super::sessions::Keeper;

/// What the service is told at its start.
#[derive(Clone)]
pub struct Options {
    /// The log's folder and identity.
    pub log: quorum::Options,
    /// Drawn by this process; [`register`](super::register) with the same.
    pub incarnation: Uuid,
    /// The broker's properties.
    pub settings: Settings,
    /// `cluster.id` of the configuration or the disks, if either says.
    pub cluster_id: Option<String>,
    /// The CONTROLLER listeners of the other nodes.
    pub peers: Peers,
    /// Where this node's own services are added.
    pub services: Services,
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
            Self::OtherCluster { .. } | Self::Log(quorum::StartError::OtherVoter { .. }) => true,
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
    /// Starts the metadata of a cluster of one; the cluster is founded if the log is empty.
    ///
    /// `replicas` get nothing to do until [`register`](super::register) has begun this uptime.
    pub async fn start(
        options: Options,
        replicas: Arc<dyn Replicas>,
        now: impl Fn() -> Now + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let me = options.log.me.broker();
        let log = Arc::new(RaftLog::start_alone(options.log).await?);
        let publisher = Publisher::new(me, options.incarnation, log.committed(), replicas);
        let settings = options.settings;
        let (driver, handle) =
            Driver::new(Arc::clone(&log), settings.clone(), publisher.published(), options.peers, now);
        let ways = (handle.local.clone(), handle.remote.clone());
        let (keeper, doorbell) = Keeper::new(me, settings.clone(), log.role(), log.committed(), ways);
        let rpc = Rpc {
            local: handle.local.clone(),
            role: log.role(),
            committed: log.committed(),
            settings: settings.clone(),
            doorbell,
        };
        options.services.add(rpc.into_service());
        let tasks = [
            tokio::spawn(publisher.run()),
            tokio::spawn(driver.run()),
            tokio::spawn(keeper.run()),
            tokio::spawn(balance(settings, log.role(), handle.local.clone())),
        ];
        let service = Self { log, handle, tasks };
        let result = service.found(options.cluster_id).await;
        if result.is_err() {
            service.shutdown().await;
        }
        result.map(|()| service)
    }

    async fn found(&self, wanted: Option<String>) -> Result<(), StartError> {
        let cluster_id = wanted.clone().unwrap_or_else(new_cluster_id);
        let found = self.handle.submit(FoundCluster { cluster_id }).await?;
        match wanted {
            Some(expected) if expected != found => Err(StartError::OtherCluster { expected, found }),
            _ => {
                info!(cluster = %found, "metadata is ready");
                Ok(())
            }
        }
    }

    /// Asks the controller, and sees the cluster.
    pub fn handle(&self) -> ControllerHandle {
        self.handle.clone()
    }

    /// The metadata log.
    pub fn log(&self) -> &RaftLog {
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
