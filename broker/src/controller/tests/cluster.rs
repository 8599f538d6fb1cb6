//! Several nodes' metadata in one process, each on a runtime of its own that can be killed: founding, elections, catching
//! up, membership.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::controller::{PreviousStop, RegisterBroker, Settings, supported_features};
use ottla_core::metadata::{Image, LocalChanges};
use ottla_core::{BrokerId, DirectoryId, Now, Timestamp};
use rand::Rng;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::quorum::{ChangeError, Door, Newcomer, Refusal, VoterId, find, has_log};
use super::super::*;
use crate::config::{self, Endpoint};

const DEADLINE: Duration = Duration::from_secs(20);

struct NoReplicas;

impl Replicas for NoReplicas {
    fn apply(&self, _: &LocalChanges, _: &Arc<Image>) {}
}

/// What a node has besides its process.
struct Place {
    id: i32,
    address: String,
    quorum: config::Quorum,
    folder: TempDir,
    directory: DirectoryId,
    /// What `meta.properties` would say.
    cluster_id: Option<String>,
    entries_per_snapshot: u64,
    run: Option<Run>,
}

/// A node's process.
struct Run {
    runtime: Runtime,
    service: Arc<Service>,
}

type Starting = (Runtime, oneshot::Receiver<Result<(Service, String), StartError>>);

impl Place {
    fn new(id: i32, address: String, quorum: config::Quorum) -> Self {
        let (folder, directory) = (tempfile::tempdir().unwrap(), DirectoryId(Uuid::new_v4()));
        Self { id, address, quorum, folder, directory, cluster_id: None, entries_per_snapshot: 2000, run: None }
    }

    fn metadata(&self) -> PathBuf {
        self.folder.path().join("metadata")
    }

    /// Begins to start; `found` only ends once there is a cluster.
    fn begin(&self) -> Starting {
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
                let options =
                    Options { log, incarnation, settings: Settings::default(), entrance, peers, door, services };
                let now = || Now { monotonic: Duration::ZERO, wall: Timestamp(0) };
                Ok((Service::start(options, Arc::new(NoReplicas), now).await?, cluster_id))
            };
            drop(sender.send(started.await));
        });
        (runtime, receiver)
    }

    async fn finish(&mut self, (runtime, started): Starting) -> Result<(), StartError> {
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

    async fn start(&mut self) -> Result<(), StartError> {
        let starting = self.begin();
        self.finish(starting).await
    }

    /// As signal 9 would.
    fn kill(&mut self) {
        let Some(Run { runtime, service }) = self.run.take() else { return };
        drop(service);
        // Waits until its threads are gone, so that the address is free again.
        tokio::task::block_in_place(|| runtime.shutdown_timeout(Duration::from_secs(5)));
    }

    /// Loses its disk.
    fn empty(&mut self) {
        self.folder = tempfile::tempdir().unwrap();
        (self.directory, self.cluster_id) = (DirectoryId(Uuid::new_v4()), None);
    }

    fn service(&self) -> &Arc<Service> {
        &self.run.as_ref().expect("it runs").service
    }

    fn leads(&self) -> bool {
        self.run.as_ref().is_some_and(|run| *run.service.log().role().borrow() == Role::Leader)
    }

    fn voters(&self) -> Vec<i32> {
        let members = self.service().log().members().all.into_iter();
        members.filter(|member| member.is_voter).map(|member| member.id.broker().0).collect()
    }

    /// What was committed by [`Cluster::commit`], as far as this node has it.
    fn committed(&self) -> usize {
        self.service().log().committed().borrow().brokers().len()
    }
}

struct Cluster(Vec<Place>);

impl Drop for Cluster {
    fn drop(&mut self) {
        for place in &mut self.0 {
            if let Some(run) = place.run.take() {
                run.runtime.shutdown_background();
            }
        }
    }
}

fn addresses(count: usize) -> Vec<String> {
    let mut random = rand::rng();
    let mut byte = || random.random_range(2..250_u8);
    let hosts: Vec<_> = (0..count).map(|_| format!("127.{}.{}.{}", byte(), byte(), byte())).collect();
    hosts.into_iter().map(|host| format!("{host}:29093")).collect()
}

fn founding(addresses: &[String]) -> config::Quorum {
    let voter = |(id, address): (usize, &String)| config::Voter { id: BrokerId(id as i32), address: address.clone() };
    config::Quorum::Founding(addresses.iter().enumerate().map(voter).collect())
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Cluster {
    fn places(count: usize) -> Self {
        let addresses = addresses(count);
        let quorum = founding(&addresses);
        Self(addresses.into_iter().zip(0..).map(|(at, id)| Place::new(id, at, quorum.clone())).collect())
    }

    async fn start(count: usize) -> Self {
        let mut cluster = Self::places(count);
        cluster.start_all().await;
        cluster
    }

    async fn start_all(&mut self) {
        let starting: Vec<_> = self.0.iter().map(Place::begin).collect();
        for (place, starting) in self.0.iter_mut().zip(starting) {
            place.finish(starting).await.unwrap();
        }
    }

    async fn leader(&self) -> usize {
        eventually("a node leads", || self.0.iter().any(Place::leads)).await;
        self.0.iter().rposition(Place::leads).expect("one leads")
    }

    /// Commits something that can be counted: a broker registers. Asks wherever the leader is.
    async fn commit(&self, number: i32) {
        let cluster_id = self.0.iter().find_map(|place| place.cluster_id.clone()).expect("there is a cluster");
        let registration = RegisterBroker {
            broker: BrokerId(1000 + number),
            cluster_id,
            incarnation: Uuid::from_u128(number as u128),
            endpoints: Vec::new(),
            rack: None,
            directories: vec![DirectoryId(Uuid::from_u128(number as u128))],
            features: supported_features().map(|(name, range)| (name.to_owned(), range)).collect(),
            previous: PreviousStop::Unclean { page_cache_kept: true, damaged: Vec::new() },
        };
        let begun = Instant::now();
        loop {
            let leader = self.leader().await;
            match self.0[leader].service().handle().submit(registration.clone()).await {
                Ok(_) => return,
                Err(SubmitError::TimedOut) => assert!(begun.elapsed() < DEADLINE),
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn alike(&self) {
        let images = || {
            self.0
                .iter()
                .filter_map(|place| place.run.as_ref())
                .map(|run| run.service.log().committed().borrow().clone())
        };
        eventually("all have the same image", || {
            let first = images().next();
            images().all(|image| Some(image) == first)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_found_one_cluster_and_all_hold_its_log() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    assert_eq!(cluster.0[leader].voters(), [0, 1, 2]);
    let id = cluster.0[0].service().handle().image().cluster_id().to_owned();
    assert!(cluster.0.iter().all(|place| place.cluster_id.as_ref() == Some(&id)));
    cluster.alike().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_is_killed_another_leads_soon_and_nothing_committed_is_lost() {
    let mut cluster = Cluster::start(3).await;
    let mut took = Vec::new();
    // More rounds by hand, to measure.
    let rounds = std::env::var("OTTLA_ELECTIONS").map_or(5, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        for number in 0..3 {
            cluster.commit(3 * round + number).await;
        }
        let leader = cluster.leader().await;
        let killed = Instant::now();
        cluster.0[leader].kill();
        let successor = cluster.leader().await;
        took.push(killed.elapsed());
        assert_eq!(cluster.0[successor].committed(), 3 * (round as usize + 1), "nothing is lost");
        cluster.0[leader].start().await.unwrap();
    }
    cluster.alike().await;
    took.sort();
    assert!(took[took.len() / 2] < Duration::from_millis(500), "{took:?}");
    println!("elections took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_down_catches_up_by_entries_or_by_a_snapshot() {
    let mut cluster = Cluster::places(3);
    cluster.0.iter_mut().for_each(|place| place.entries_per_snapshot = 50);
    cluster.start_all().await;
    let down = (cluster.leader().await + 1) % 3;
    for (begin, count) in [(0, 10), (10, 300)] {
        cluster.0[down].kill();
        for number in begin..begin + count {
            cluster.commit(number).await;
        }
        cluster.0[down].start().await.unwrap();
        cluster.alike().await;
        assert_eq!(cluster.0[down].committed(), (begin + count) as usize);
    }
    assert!(cluster.0[down].metadata().join("snapshot").exists(), "it came by a snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_disk_comes_back_as_a_new_voter_in_place_of_the_old_one_whoever_it_was() {
    let mut cluster = Cluster::start(3).await;
    cluster.commit(0).await;
    for emptied in 0..3 {
        let before = VoterId::new(BrokerId(emptied), cluster.0[emptied as usize].directory);
        let place = &mut cluster.0[emptied as usize];
        place.kill();
        place.empty();
        // Found anew it must not, be it the lowest founding voter.
        place.start().await.unwrap();
        let leader = cluster.leader().await;
        let members = cluster.0[leader].service().log().members();
        assert!(members.all.iter().all(|member| member.id != before), "{members:?}");
        assert_eq!(cluster.0[leader].voters(), [0, 1, 2]);
        cluster.alike().await;
        assert_eq!(cluster.0[emptied as usize].committed(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_disk_is_sent_away() {
    let mut cluster = Cluster::start(3).await;
    cluster.0[1].kill();
    let place = &mut cluster.0[1];
    let old = std::mem::replace(&mut place.folder, tempfile::tempdir().unwrap());
    let (old_directory, cluster_id) = (place.directory, place.cluster_id.clone());
    place.empty();
    place.start().await.unwrap();
    cluster.0[1].kill();
    let place = &mut cluster.0[1];
    (place.folder, place.directory, place.cluster_id) = (old, old_directory, cluster_id);
    // It has the image of old, and may come up; the leader's word ends it then.
    match place.start().await {
        Err(error) => assert!(error.is_identity() && error.to_string().contains("has retired"), "{error}"),
        Ok(()) => {
            let log = Arc::clone(place.service().log());
            let refusal = tokio::time::timeout(DEADLINE, log.sent_away()).await.unwrap();
            assert!(matches!(&refusal, Refusal::SentAway(reason) if reason.contains("has retired")), "{refusal}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_would_found_with_different_voters_found_nothing() {
    let at = addresses(3);
    let mut places: Vec<_> = (0..3).map(|id| Place::new(id, at[id as usize].clone(), founding(&at))).collect();
    places[1].quorum = founding(&at[..2]);
    let cluster = Cluster(places);
    let mut starting: Vec<_> = cluster.0.iter().map(Place::begin).collect();
    // Long enough for thirty rounds of asking.
    let founded = tokio::time::timeout(Duration::from_secs(2), async {
        let all = starting.iter_mut().map(|(_, started)| started);
        futures::future::select_all(all).await.0
    });
    assert!(founded.await.is_err(), "a cluster was founded");
    starting.into_iter().for_each(|(runtime, _)| runtime.shutdown_background());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_killed_at_once_come_back_with_everything() {
    let mut cluster = Cluster::start(3).await;
    for round in 1..=3 {
        cluster.commit(round).await;
        cluster.0.iter_mut().for_each(Place::kill);
        cluster.start_all().await;
        cluster.alike().await;
        assert_eq!(cluster.0[0].committed(), round as usize);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_no_founding_voter_learns_and_can_be_made_a_voter_and_back() {
    let mut cluster = Cluster::places(1);
    cluster.0[0].entries_per_snapshot = 50;
    cluster.start_all().await;
    for number in 0..120 {
        cluster.commit(number).await;
    }
    let bootstrap = config::Quorum::Joining(vec![cluster.0[0].address.clone()]);
    for id in 1..=3 {
        let mut place = Place::new(id, addresses(1).remove(0), bootstrap.clone());
        place.start().await.unwrap();
        cluster.0.push(place);
    }
    let log = Arc::clone(cluster.0[0].service().log());
    assert_eq!((cluster.0[0].voters(), log.members().all.len()), (vec![0], 4));
    assert_eq!(log.address_of(BrokerId(2)), Some(cluster.0[2].address.clone()));
    cluster.alike().await;
    assert!(cluster.0[3].metadata().join("snapshot").exists(), "the log had been compacted before it came");
    for id in 1..=2 {
        log.add_voter(BrokerId(id)).await.unwrap();
    }
    assert_eq!(cluster.0[0].voters(), [0, 1, 2]);
    assert_eq!(log.add_voter(BrokerId(9)).await, Err(ChangeError::Unknown(BrokerId(9))));
    assert_eq!(log.forget(BrokerId(2)).await, Err(ChangeError::IsVoter(BrokerId(2))));
    log.forget(BrokerId(3)).await.unwrap();
    let sent_away = cluster.0[3].service().log().sent_away();
    let refusal = tokio::time::timeout(DEADLINE, sent_away).await.expect("a forgotten node learns of it");
    assert!(matches!(refusal, Refusal::SentAway(_)), "{refusal}");
    log.remove_voter(BrokerId(2)).await.unwrap();
    assert_eq!(cluster.0[0].voters(), [0, 1]);
    cluster.commit(120).await;
    cluster.0[3].kill();
    cluster.alike().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_moment_of_founding_leaves_one_cluster_to_come() {
    let id = || Some(new_cluster_id());
    // The founder had formatted its disk, and no more.
    let mut cluster = Cluster::places(3);
    let wanted = id();
    cluster.0[0].cluster_id = wanted.clone();
    cluster.start_all().await;
    assert_eq!(cluster.0[2].cluster_id, wanted);

    // The founder had begun its quorum of one, and not yet the cluster.
    let mut cluster = Cluster::places(3);
    let founder = &mut cluster.0[0];
    founder.cluster_id = wanted.clone();
    let me = VoterId::new(BrokerId(0), founder.directory);
    let log = quorum::Options::new(founder.metadata(), me, founder.address.clone());
    quorum::RaftLog::start_alone(log).await.unwrap().shutdown().await;
    cluster.start_all().await;
    assert_eq!(cluster.0[2].cluster_id, wanted);
    assert_eq!(cluster.0[cluster.leader().await].voters(), [0, 1, 2]);

    // Others had formatted their disks for it, and were not taken in yet.
    for place in &mut cluster.0[1..] {
        place.kill();
        place.empty();
        place.cluster_id = wanted.clone();
    }
    cluster.0[0].kill();
    cluster.0[0].empty();
    // With the founder's disk the cluster is lost. Nobody makes another one.
    let mut starting: Vec<_> = cluster.0.iter().map(Place::begin).collect();
    let founded = tokio::time::timeout(Duration::from_secs(2), async {
        let all = starting.iter_mut().map(|(_, started)| started);
        futures::future::select_all(all).await.0
    });
    assert!(founded.await.is_err(), "a second cluster was founded");
    starting.into_iter().for_each(|(runtime, _)| runtime.shutdown_background());
}
