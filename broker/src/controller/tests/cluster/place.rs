//! What a node of the tests has: an address, a disk, and a process on a runtime of its own that can be killed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::Settings;
use ottla_core::metadata::{Image, LocalChanges};
use ottla_core::{BrokerId, DirectoryId, Now, Timestamp};
use rand::Rng;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::super::quorum::{Door, Newcomer, VoterId, find, has_log};
use super::super::super::*;
use crate::config::{self, Endpoint};

/// How long anything may take before it counts as never coming, be the machine as loaded as it may.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

struct NoReplicas;

impl Replicas for NoReplicas {
    fn apply(&self, _: &LocalChanges, _: &Arc<Image>) {}
}

/// What a node has besides its process.
pub(super) struct Place {
    pub(super) id: i32,
    pub(super) address: String,
    pub(super) quorum: config::Quorum,
    pub(super) folder: TempDir,
    pub(super) directory: DirectoryId,
    /// What `meta.properties` would say.
    pub(super) cluster_id: Option<String>,
    pub(super) entries_per_snapshot: u64,
    pub(super) run: Option<Run>,
}

/// A node's process.
pub(super) struct Run {
    pub(super) runtime: Runtime,
    pub(super) service: Arc<Service>,
}

pub(super) type Starting = (Runtime, oneshot::Receiver<Result<(Service, String), StartError>>);

impl Place {
    pub(super) fn new(id: i32, address: String, quorum: config::Quorum) -> Self {
        let (folder, directory) = (tempfile::tempdir().unwrap(), DirectoryId(Uuid::new_v4()));
        Self { id, address, quorum, folder, directory, cluster_id: None, entries_per_snapshot: 2000, run: None }
    }

    pub(super) fn metadata(&self) -> PathBuf {
        self.folder.path().join("metadata")
    }

    /// Begins to start; `found` only ends once there is a cluster.
    pub(super) fn begin(&self) -> Starting {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (sender, receiver) = oneshot::channel();
        let newcomer = Newcomer {
            me: BrokerId(self.id),
            quorum: self.quorum.clone(),
            on_disk: self.cluster_id.clone(),
            configured: None,
            has_log: has_log(&self.metadata()),
        };
        let me = VoterId::new(BrokerId(self.id), self.directory);
        let mut log = quorum::Options::new(self.metadata(), me, self.address.clone());
        (log.entries_per_snapshot, log.entries_kept) = (self.entries_per_snapshot, 20);
        let (host, port) = self.address.split_once(':').unwrap();
        let endpoint = Endpoint { name: "CONTROLLER".into(), host: host.into(), port: port.parse().unwrap() };
        runtime.spawn(async move {
            let listener = ControllerListener::bind(&endpoint, None).await.unwrap();
            let (services, peers) = (listener.services(), Peers::new(None));
            let door = Door::new(newcomer.me, newcomer.quorum.founders());
            services.add(door.service());
            tokio::spawn(listener.serve(CancellationToken::new()));
            let started = async {
                let entrance = find(&newcomer, &peers, &door).await?;
                let cluster_id = entrance.cluster_id.clone();
                let incarnation = Uuid::new_v4();
                let (settings, quotas) = (Settings::default(), Arc::default());
                let options = Options { log, incarnation, settings, entrance, peers, door, services, quotas };
                let now = || Now { monotonic: Duration::ZERO, wall: Timestamp(0) };
                Ok((Service::start(options, Arc::new(NoReplicas), now).await?, cluster_id))
            };
            drop(sender.send(started.await));
        });
        (runtime, receiver)
    }

    pub(super) async fn finish(&mut self, (runtime, started): Starting) -> Result<(), StartError> {
        let started = tokio::time::timeout(DEADLINE, started).await.expect("it starts in time").unwrap();
        match started {
            Ok((service, cluster_id)) => {
                self.cluster_id = Some(cluster_id);
                self.run = Some(Run { runtime, service: Arc::new(service) });
                Ok(())
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    pub(super) async fn start(&mut self) -> Result<(), StartError> {
        let starting = self.begin();
        self.finish(starting).await
    }

    /// As signal 9 would.
    pub(super) fn kill(&mut self) {
        let Some(Run { runtime, service }) = self.run.take() else { return };
        drop(service);
        // Waits until its threads are gone, so that the address is free again.
        tokio::task::block_in_place(|| runtime.shutdown_timeout(DEADLINE));
    }

    /// Loses its disk.
    pub(super) fn empty(&mut self) {
        self.folder = tempfile::tempdir().unwrap();
        (self.directory, self.cluster_id) = (DirectoryId(Uuid::new_v4()), None);
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        &self.run.as_ref().expect("it runs").service
    }

    pub(super) fn leads(&self) -> bool {
        self.run.as_ref().is_some_and(|run| *run.service.log().role().borrow() == Role::Leader)
    }

    pub(super) fn voters(&self) -> Vec<i32> {
        let members = self.service().log().members().all.into_iter();
        members.filter(|member| member.is_voter).map(|member| member.id.broker().0).collect()
    }

    /// What was committed by [`super::Cluster::commit`], as far as this node has it.
    pub(super) fn committed(&self) -> usize {
        self.service().log().committed().borrow().brokers().len()
    }
}

pub(super) fn addresses(count: usize) -> Vec<String> {
    let mut random = rand::rng();
    let mut byte = || random.random_range(2..250_u8);
    let hosts: Vec<_> = (0..count).map(|_| format!("127.{}.{}.{}", byte(), byte(), byte())).collect();
    hosts.into_iter().map(|host| format!("{host}:29093")).collect()
}

pub(super) fn founding(addresses: &[String]) -> config::Quorum {
    let voter = |(id, address): (usize, &String)| config::Voter { id: BrokerId(id as i32), address: address.clone() };
    config::Quorum::Founding(addresses.iter().enumerate().map(voter).collect())
}
