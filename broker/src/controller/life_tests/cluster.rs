//! Nodes of one process over a metadata log in memory: the CONTROLLER listeners, gRPC, drivers, sessions and publishers
//! are real, and the test says who leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{FoundCluster, NewTopic, PartitionAssignment, PreviousStop, Settings};
use ottla_core::metadata::{Broker, Entry, Image, LocalChanges};
use ottla_core::{BrokerId, DirectoryId, LogIndex, Now, Timestamp, TopicId};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::sessions::Keeper;
use super::super::{
    ControllerHandle, ControllerListener, Driver, Life, MetadataLog, Outcome, Peers, ProposeError, Publisher, Replicas,
    Role, Uptime, register, rpc::Rpc,
};
use crate::config::Endpoint;

/// What all nodes share: the log, and who leads it.
pub(super) struct Shared {
    committed: watch::Sender<Arc<Image>>,
    leader: watch::Sender<Option<BrokerId>>,
    write: Mutex<()>,
    addresses: Mutex<BTreeMap<BrokerId, String>>,
    /// Brokers that were fenced though their uptime was in service, in this order.
    fencings: Mutex<Vec<i32>>,
    /// Commits the next entry, moves the lead to this broker, and leaves the proposer without an answer.
    lose_next_answer: Mutex<Option<BrokerId>>,
}

impl Shared {
    fn commit(&self, change: impl FnOnce(&mut Image, LogIndex) -> bool) -> (LogIndex, bool) {
        let mut image = Image::clone(&self.committed.borrow());
        let index = image.index().next();
        let applied = change(&mut image, index);
        let before = Arc::clone(&self.committed.borrow());
        let was_in_service =
            |now: &Broker| before.broker(now.id).is_some_and(|before| !before.fenced && before.epoch == now.epoch);
        let fenced = image.brokers().values().filter(|now| now.fenced && was_in_service(now));
        self.fencings.lock().extend(fenced.map(|broker| broker.id.0));
        self.committed.send_replace(Arc::new(image));
        (index, applied)
    }

    /// An election; `None` leaves the log without a leader.
    pub(super) fn elect(&self, leader: Option<i32>) {
        let _one_at_a_time = self.write.lock();
        self.elect_locked(leader.map(BrokerId));
    }

    fn elect_locked(&self, leader: Option<BrokerId>) {
        if let Some(leader) = leader {
            self.commit(|image, index| {
                image.begin_reign(index, leader);
                true
            });
        }
        self.leader.send_replace(leader);
    }

    pub(super) fn lose_next_answer(&self, then_leads: i32) {
        *self.lose_next_answer.lock() = Some(BrokerId(then_leads));
    }

    pub(super) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.committed.borrow())
    }

    /// Who has been fenced in the midst of an uptime, in this order.
    pub(super) fn fenced_while_in_service(&self) -> Vec<i32> {
        self.fencings.lock().clone()
    }

    pub(super) fn forget_fencings(&self) {
        self.fencings.lock().clear();
    }

    /// Waits until the log shows it, ten seconds at most.
    pub(super) fn until(&self, what: &str, shows: impl Fn(&Image) -> bool) -> Arc<Image> {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            let image = self.image();
            if shows(&image) {
                return image;
            }
            assert!(std::time::Instant::now() < deadline, "never came true: {what}");
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// The log as one node sees it.
struct NodeLog {
    me: BrokerId,
    shared: Arc<Shared>,
    role: watch::Receiver<Role>,
}

impl MetadataLog for NodeLog {
    async fn propose(&self, entry: Entry) -> Result<Outcome, ProposeError> {
        let _one_at_a_time = self.shared.write.lock();
        let leader = *self.shared.leader.borrow();
        if leader != Some(self.me) {
            return Err(ProposeError::NotLeader { leader });
        }
        let apply = |image: &mut Image, index| image.apply_entry(index, &entry).unwrap();
        let (index, applied) = self.shared.commit(apply);
        if let Some(next) = self.shared.lose_next_answer.lock().take() {
            self.shared.elect_locked(Some(next));
            return Err(ProposeError::NotLeader { leader: Some(next) });
        }
        Ok(if applied { Outcome::Applied(index) } else { Outcome::Skipped })
    }

    fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    fn address_of(&self, broker: BrokerId) -> Option<String> {
        self.shared.addresses.lock().get(&broker).cloned()
    }

    fn committed(&self) -> watch::Receiver<Arc<Image>> {
        self.shared.committed.subscribe()
    }
}

struct NoReplicas;

impl Replicas for NoReplicas {
    fn apply(&self, _: &LocalChanges, _: &Arc<Image>) {}
}

/// A node on a runtime of its own, so that it can be killed.
pub(super) struct Node {
    id: i32,
    runtime: Option<Runtime>,
    pub(super) controller: ControllerHandle,
    life: Option<Life>,
}

impl Node {
    fn start(shared: &Arc<Shared>, id: i32, properties: &BTreeMap<String, String>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (controller, incarnation) = runtime.block_on(assemble(shared, BrokerId(id), properties.clone()));
        Self { id, runtime: Some(runtime), controller, life: None }.registered(shared, incarnation)
    }

    fn registered(mut self, shared: &Shared, incarnation: Uuid) -> Self {
        let uptime = Uptime {
            broker: BrokerId(self.id),
            incarnation,
            cluster_id: shared.image().cluster_id().to_owned(),
            endpoints: Vec::new(),
            rack: None,
            directories: vec![DirectoryId(Uuid::from_u128(u128::try_from(self.id).unwrap() + 1))],
            previous: PreviousStop::Unclean { page_cache_kept: true, damaged: Vec::new() },
            heartbeat_interval: Duration::from_millis(100),
        };
        let life = self.block_on(register(&self.controller, uptime)).unwrap();
        self.life = Some(life);
        self
    }

    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.as_ref().unwrap().block_on(future)
    }

    pub(super) fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }
}

impl Drop for Node {
    /// As a kill would: every connection and listener is closed at once.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn assemble(
    shared: &Arc<Shared>,
    me: BrokerId,
    properties: BTreeMap<String, String>,
) -> (ControllerHandle, Uuid) {
    let endpoint = Endpoint { name: "CONTROLLER".to_owned(), host: "127.0.0.1".to_owned(), port: 0 };
    let listener = ControllerListener::bind(&endpoint, None).await.unwrap();
    shared.addresses.lock().insert(me, listener.address().to_string());
    let role_of = move |leader: Option<BrokerId>| match leader {
        Some(leader) if leader == me => Role::Leader,
        leader => Role::Follower { leader },
    };
    let mut leaders = shared.leader.subscribe();
    let (sender, role) = watch::channel(role_of(*leaders.borrow_and_update()));
    tokio::spawn(async move {
        while leaders.changed().await.is_ok() {
            sender.send_replace(role_of(*leaders.borrow_and_update()));
        }
    });
    let log = Arc::new(NodeLog { me, shared: Arc::clone(shared), role });
    let (settings, incarnation) = (Settings::new(properties), Uuid::new_v4());
    let publisher = Publisher::new(me, incarnation, log.committed(), Arc::new(NoReplicas), Arc::default());
    let now = || Now { monotonic: Duration::ZERO, wall: Timestamp(0) };
    let (driver, handle) =
        Driver::new(Arc::clone(&log), settings.clone(), publisher.published(), Peers::new(None), now);
    let ways = (handle.local.clone(), handle.remote.clone());
    let (keeper, doorbell) = Keeper::new((me, incarnation), settings.clone(), log.role(), log.committed(), ways);
    let (role, committed, local) = (log.role(), log.committed(), handle.local.clone());
    listener.services().add(Rpc { local, role, committed, settings, doorbell }.into_service());
    tokio::spawn(listener.serve(CancellationToken::new()));
    tokio::spawn(publisher.run());
    tokio::spawn(driver.run());
    tokio::spawn(keeper.run());
    (handle, incarnation)
}

/// Brokers `0..count` in service; 0 leads.
pub(super) struct Cluster {
    pub(super) shared: Arc<Shared>,
    pub(super) nodes: Vec<Option<Node>>,
    properties: BTreeMap<String, String>,
}

impl Cluster {
    pub(super) fn of(count: i32) -> Self {
        Self::with(count, &[])
    }

    pub(super) fn with(count: i32, properties: &[(&str, &str)]) -> Self {
        let mut image = Image::default();
        image.begin_reign(LogIndex(1), BrokerId(0));
        let decided = ottla_core::controller::decide(
            &image,
            &Settings::default(),
            Now { monotonic: Duration::ZERO, wall: Timestamp(0) },
            ottla_core::controller::Command::FoundCluster(FoundCluster { cluster_id: "test".to_owned() }),
        );
        decided.unwrap().records.iter().for_each(|record| image.apply(record).unwrap());
        let shared = Arc::new(Shared {
            committed: watch::Sender::new(Arc::new(image)),
            leader: watch::Sender::new(Some(BrokerId(0))),
            write: Mutex::default(),
            addresses: Mutex::default(),
            fencings: Mutex::default(),
            lose_next_answer: Mutex::default(),
        });
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let nodes = (0..count).map(|id| Some(Node::start(&shared, id, &properties))).collect();
        Self { shared, nodes, properties }
    }

    pub(super) fn node(&self, id: usize) -> &Node {
        self.nodes[id].as_ref().unwrap()
    }

    /// The node ends as by a signal 9.
    pub(super) fn kill(&mut self, id: usize) {
        self.nodes[id] = None;
    }

    /// The node lives and says so no more. It is fenced by the time-out, and so is by then whoever else is not heard.
    pub(super) fn fall_silent(&mut self, id: usize) {
        self.nodes[id].as_mut().unwrap().life = None;
    }

    /// A new uptime of the broker.
    pub(super) fn restart(&mut self, id: usize) {
        self.kill(id);
        self.nodes[id] = Some(Node::start(&self.shared, i32::try_from(id).unwrap(), &self.properties));
    }
}

/// A topic with one partition, which these brokers hold.
pub(super) fn topic(name: &str, brokers: &[i32]) -> NewTopic {
    let brokers = brokers.iter().copied().map(BrokerId).collect();
    let assignments = vec![PartitionAssignment { partition: 0, brokers }];
    NewTopic { assignments, ..NewTopic::with_defaults(name, TopicId(Uuid::new_v4())) }
}
