//! Several nodes' metadata in one process, each on a runtime of its own that can be killed: founding, elections, catching
//! up, membership.

mod disks;
mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ottla_core::controller::{PreviousStop, RegisterBroker, supported_features};
use ottla_core::metadata::Entry;
use ottla_core::{BrokerId, ControllerEpoch, DirectoryId, LogIndex};
use place::{DEADLINE, Place, addresses, founding};
use uuid::Uuid;

use super::super::quorum::{ChangeError, Refusal, VoterId};
use super::super::*;
use crate::config;

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

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Something that can be committed and counted: a broker registers.
fn registration(number: i32, cluster_id: &str) -> RegisterBroker {
    RegisterBroker {
        broker: BrokerId(1000 + number),
        cluster_id: cluster_id.to_owned(),
        incarnation: Uuid::from_u128(number as u128),
        endpoints: Vec::new(),
        rack: None,
        directories: vec![DirectoryId(Uuid::from_u128(number as u128))],
        features: supported_features().map(|(name, range)| (name.to_owned(), range)).collect(),
        previous: PreviousStop::Unclean { page_cache_kept: true, damaged: Vec::new() },
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

    /// A node that takes itself for the leader: where time is short one that has been deposed may not know it yet.
    async fn leader(&self) -> usize {
        let mut leader = None;
        eventually("a node leads", || {
            leader = self.0.iter().rposition(Place::leads);
            leader.is_some()
        })
        .await;
        leader.expect("it was waited for")
    }

    /// Commits a registration. Asks a leader, which passes it on if it leads no more.
    async fn commit(&self, number: i32) {
        let cluster_id = self.0.iter().find_map(|place| place.cluster_id.clone()).expect("there is a cluster");
        let leader = self.leader().await;
        let handle = self.0[leader].service().handle();
        handle.submit_within(registration(number, &cluster_id), DEADLINE).await.expect("a controller decides it");
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
async fn when_the_leader_is_killed_another_leads_and_nothing_committed_is_lost() {
    let mut cluster = Cluster::start(3).await;
    // How long clients wait for it `just gaps` measures: a test that shares its processors cannot tell.
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
        // What a leader in office lacks it never gets.
        let all = 3 * (round as usize + 1);
        eventually("the successor has all that was committed", || cluster.0[successor].committed() == all).await;
        cluster.0[leader].start().await.unwrap();
    }
    cluster.alike().await;
    took.sort();
    println!("elections took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_has_lost_the_others_keeps_nobody_waiting() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    others.into_iter().for_each(|other| cluster.0[other].kill());
    let log = Arc::clone(cluster.0[leader].service().log());
    let entry = Entry { controller_epoch: ControllerEpoch(0), decided_on: LogIndex(0), records: Vec::new() };
    let proposed = tokio::time::timeout(DEADLINE, log.propose(entry)).await.expect("it says that it leads no more");
    assert_eq!(proposed, Err(ProposeError::NotLeader { leader: None }));
    for other in others {
        cluster.0[other].start().await.unwrap();
    }
    cluster.commit(0).await;
    cluster.alike().await;
}

/// Has broker after broker, from `first` on, registered by way of node `by` until it is told to stop; the longest wait.
fn keep_committing(by: &Place, first: i32, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Duration> {
    let (handle, stop) = (by.service().handle(), Arc::clone(stop));
    let cluster_id = by.cluster_id.clone().expect("there is a cluster");
    tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        for number in first.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let begun = Instant::now();
            handle.submit(registration(number, &cluster_id)).await.unwrap();
            longest = longest.max(begun.elapsed());
            // The pace of the load.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        longest
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hands_over_is_replaced_in_one_election_with_or_without_load() {
    let mut cluster = Cluster::start(3).await;
    for (round, under_load) in (0..).zip([false, true, false, true]) {
        let leader = cluster.leader().await;
        let log = Arc::clone(cluster.0[leader].service().log());
        let (term, stop) = (log.members().term, Arc::new(AtomicBool::new(!under_load)));
        let committing = keep_committing(&cluster.0[(leader + 1) % 3], 1_000 * (round + 1), &stop);
        let begun = Instant::now();
        assert!(log.hand_over().await);
        let took = begun.elapsed();
        eventually("it knows its successor", || !cluster.0[leader].leads() && log.members().leader.is_some()).await;
        assert_eq!(log.members().term, term + 1);
        cluster.commit(round).await;
        stop.store(true, Ordering::Relaxed);
        println!("handed over in {took:?}, longest wait for a commit {:?}", committing.await.unwrap());
        // It would not stand again.
        cluster.0[leader].kill();
        cluster.0[leader].start().await.unwrap();
    }
    cluster.alike().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_node_that_runs_hands_over_to_nobody_and_leads_on() {
    let mut cluster = Cluster::start(2).await;
    let leader = cluster.leader().await;
    cluster.0[1 - leader].kill();
    assert!(!cluster.0[leader].service().log().hand_over().await);
    cluster.0[1 - leader].start().await.unwrap();
    cluster.commit(0).await;
    assert!(cluster.0[leader].leads());
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
    let id_of = |broker: i32| log.members().all.iter().find(|member| member.id.broker().0 == broker).unwrap().id;
    for id in 1..=2 {
        log.add_voter(id_of(id)).await.unwrap();
    }
    assert_eq!(cluster.0[0].voters(), [0, 1, 2]);
    let stranger = |broker: i32| VoterId::new(BrokerId(broker), DirectoryId(Uuid::new_v4()));
    assert_eq!(log.add_voter(stranger(9)).await, Err(ChangeError::Unknown(BrokerId(9))));
    assert_eq!(log.remove_voter(stranger(2)).await, Err(ChangeError::Unknown(BrokerId(2))), "it has another disk");
    assert_eq!(cluster.0[0].voters(), [0, 1, 2]);
    assert_eq!(log.forget(id_of(2)).await, Err(ChangeError::IsVoter(BrokerId(2))));
    let forgotten = id_of(3);
    for _ in 0..2 {
        log.forget(forgotten).await.unwrap();
    }
    let sent_away = cluster.0[3].service().log().sent_away();
    let refusal = tokio::time::timeout(DEADLINE, sent_away).await.expect("a forgotten node learns of it");
    assert!(matches!(refusal, Refusal::SentAway(_)), "{refusal}");
    log.remove_voter(id_of(2)).await.unwrap();
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
