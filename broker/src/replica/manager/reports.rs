//! What this broker tells the controller of its log directories: which have failed, and where its replicas lie (KIP-858).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{AssignReplicas, FailDirectories};
use ottla_core::{BrokerEpoch, DirectoryId, TopicId};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Manager;
use crate::controller::{ControllerHandle, SubmitError};

/// How long to wait before telling again what did not get through.
const RETRY: Duration = Duration::from_millis(100);

/// What is still to be told.
#[derive(Debug, Default)]
pub(super) struct Reports {
    places: Mutex<BTreeMap<(TopicId, i32), DirectoryId>>,
    changed: watch::Sender<()>,
}

impl Reports {
    /// The replica lies in `directory`, which is not what the metadata says.
    pub(super) fn placed(&self, topic: TopicId, partition: i32, directory: DirectoryId) {
        self.places.lock().insert((topic, partition), directory);
        self.changed.send_replace(());
    }

    /// A directory has failed.
    pub(super) fn directory_failed(&self) {
        self.changed.send_replace(());
    }

    /// Told at each change; the failures themselves are the directories'.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn places(&self) -> BTreeMap<(TopicId, i32), DirectoryId> {
        self.places.lock().clone()
    }

    /// Forgets what has been told, unless it is told differently by now.
    fn told(&self, told: &BTreeMap<(TopicId, i32), DirectoryId>) {
        self.places.lock().retain(|replica, directory| told.get(replica) != Some(directory));
    }
}

impl Manager {
    /// Tells the controller until shutdown, in the uptime that `epoch` gives.
    pub async fn report(
        self: Arc<Self>,
        controller: ControllerHandle,
        epoch: impl Fn() -> Option<BrokerEpoch>,
        shutdown: CancellationToken,
    ) {
        let mut changed = self.reports.watch();
        let mut known = 0;
        loop {
            changed.mark_unchanged();
            let done = match epoch() {
                Some(epoch) => self.tell(&controller, epoch, &mut known).await,
                None => Ok(()),
            };
            let again = async {
                if done.is_ok() {
                    // The sender is this manager's own.
                    let _ = changed.changed().await;
                } else {
                    tokio::time::sleep(RETRY).await;
                }
            };
            tokio::select! { () = again => {}, () = shutdown.cancelled() => return }
        }
    }

    /// Tells what there is to tell; `known` is the number of failures that have been told.
    async fn tell(
        &self,
        controller: &ControllerHandle,
        epoch: BrokerEpoch,
        known: &mut usize,
    ) -> Result<(), SubmitError> {
        let log = |error: &SubmitError| warn!(%error, "cannot tell the controller of the log directories");
        let failed = self.failed_directories();
        if failed.len() > *known {
            let (count, broker) = (failed.len(), self.me);
            controller.submit(FailDirectories { broker, epoch, failed }).await.inspect_err(log)?;
            *known = count;
            info!(failed = count, "the controller knows of the failed log directories");
        }
        let places = self.reports.places();
        if !places.is_empty() {
            let replicas = places.iter().map(|((topic, partition), directory)| (*topic, *partition, *directory));
            let replicas = replicas.collect();
            // Those refused are of topics that are gone by now, or of replicas that have moved away.
            controller.submit(AssignReplicas { broker: self.me, epoch, replicas }).await.inspect_err(log)?;
            self.reports.told(&places);
        }
        Ok(())
    }

    fn failed_directories(&self) -> Vec<DirectoryId> {
        let directories = self.directories();
        directories.iter().filter(|one| one.failure.is_some()).map(|one| one.id).collect()
    }

    /// Resolves when no log directory is left to work with.
    pub async fn all_directories_failed(&self) {
        let mut changed = self.reports.watch();
        while !self.directories().iter().all(|directory| directory.failure.is_some()) {
            // The sender is this manager's own.
            let _ = changed.changed().await;
        }
    }
}
