//! Fetches from the leaders of the partitions that this broker follows: one loop and one session per leader broker.
//!
//! Which partition is fetched by which loop is decided here; what is fetched and what becomes of it is the partition's.

mod session;
mod worker;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_core::{BrokerEpoch, BrokerId};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Partition;
use crate::clock::Clock;
use crate::config::Config;
use crate::controller::ControllerHandle;

/// What loops heed of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `replica.fetch.wait.max.ms`: how long the leader may hold an answer back.
    pub max_wait: Duration,
    /// `replica.fetch.response.max.bytes`.
    pub max_bytes: i32,
    /// `replica.fetch.max.bytes`, of one partition.
    pub partition_max_bytes: i32,
}

impl Settings {
    /// Reads the section; what is absent has Kafka's default.
    pub fn read(config: &Config) -> Self {
        let number = |key: &str| config.fixed.get(key).and_then(|value| value.trim().parse::<i32>().ok());
        Self {
            max_wait: Duration::from_millis(number("replica.fetch.wait.max.ms").unwrap_or(500).max(0) as u64),
            max_bytes: number("replica.fetch.response.max.bytes").unwrap_or(10 << 20),
            partition_max_bytes: number("replica.fetch.max.bytes").unwrap_or(1 << 20),
        }
    }
}

/// What all loops share.
pub struct Context {
    /// This broker.
    pub me: BrokerId,
    /// This uptime.
    pub epoch: BrokerEpoch,
    /// The listener that brokers use among themselves.
    pub listener: String,
    /// The cluster, for the addresses of leaders.
    pub controller: ControllerHandle,
    /// The time.
    pub clock: Clock,
    /// What they heed of the configuration.
    pub settings: Settings,
}

/// The partitions that one loop fetches.
pub struct Followed {
    leader: BrokerId,
    partitions: Mutex<HashMap<u64, Arc<Partition>>>,
    /// Handles of those that have something to ask or to tell, or have gone.
    touched: Mutex<HashSet<u64>>,
    /// Handles of those that are outside the in-sync set.
    outside: Mutex<HashSet<u64>>,
    wake: Notify,
}

impl Followed {
    fn new(leader: BrokerId) -> Self {
        Self {
            leader,
            partitions: Mutex::default(),
            touched: Mutex::default(),
            outside: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// The partition with this handle has something to ask or to tell.
    pub(super) fn notify(&self, handle: u64) {
        self.touched.lock().insert(handle);
        self.wake.notify_one();
    }

    fn insert(&self, partition: &Arc<Partition>) {
        self.partitions.lock().insert(partition.handle(), Arc::clone(partition));
        self.notify(partition.handle());
    }

    fn set_in_sync(&self, handle: u64, is_in_sync: bool) {
        let mut outside = self.outside.lock();
        if is_in_sync {
            outside.remove(&handle)
        } else {
            outside.insert(handle)
        };
    }

    fn remove(&self, handle: u64) {
        self.partitions.lock().remove(&handle);
        self.outside.lock().remove(&handle);
        self.notify(handle);
    }
}

/// All loops of a broker.
pub struct Fetchers {
    assigned: Mutex<Assigned>,
    /// Number of loops, raised when there is a new one to be run.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Assigned {
    leaders: HashMap<u64, BrokerId>,
    loops: HashMap<BrokerId, Arc<Followed>>,
}

impl Default for Fetchers {
    fn default() -> Self {
        Self { assigned: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Fetchers {
    /// Has `partition` fetched from `leader` from now on, and by no other loop; [`BrokerId::NONE`] for none at all. The
    /// leader is told where it stands by every fetch until it `is_in_sync`.
    pub(super) fn assign(&self, partition: &Arc<Partition>, leader: BrokerId, is_in_sync: bool) {
        if leader == BrokerId::NONE {
            return self.release(partition);
        }
        let mut assigned = self.assigned.lock();
        let handle = partition.handle();
        let before = assigned.leaders.insert(handle, leader);
        if let Some(former) = before.filter(|before| *before != leader).and_then(|before| assigned.loops.get(&before)) {
            former.remove(handle);
        }
        let followed = assigned.loops.entry(leader).or_insert_with(|| Arc::new(Followed::new(leader)));
        followed.set_in_sync(handle, is_in_sync);
        if before == Some(leader) {
            return;
        }
        partition.set_fetcher(Arc::downgrade(followed));
        followed.insert(partition);
        let count = assigned.loops.len();
        self.count.send_if_modified(|before| std::mem::replace(before, count) != count);
    }

    /// Has `partition` fetched from nobody.
    pub(super) fn release(&self, partition: &Arc<Partition>) {
        let mut assigned = self.assigned.lock();
        let former = assigned.leaders.remove(&partition.handle());
        if let Some(former) = former.and_then(|former| assigned.loops.get(&former)) {
            former.remove(partition.handle());
        }
        partition.set_fetcher(std::sync::Weak::new());
    }

    /// Runs the loops until `shutdown`.
    pub async fn run(&self, context: Arc<Context>, shutdown: CancellationToken) {
        let mut count = self.count.subscribe();
        let mut running: HashSet<BrokerId> = HashSet::new();
        let mut loops = JoinSet::new();
        loop {
            let new: Vec<Arc<Followed>> = {
                let assigned = self.assigned.lock();
                assigned.loops.values().filter(|one| running.insert(one.leader)).cloned().collect()
            };
            for followed in new {
                loops.spawn(worker::run(followed, Arc::clone(&context), shutdown.clone()));
            }
            if shutdown.run_until_cancelled(count.changed()).await.is_none_or(|changed| changed.is_err()) {
                break;
            }
        }
        while loops.join_next().await.is_some() {}
    }
}
