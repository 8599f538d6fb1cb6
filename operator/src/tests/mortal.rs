//! An operator that dies at one of its writes: to Kubernetes or to the brokers, before the write is done or right after.
//!
//! Reads change nothing, and nothing of a process outlives it: to die at a read is to die before the next write.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::Request, http::Method, middleware::Next, middleware::from_fn};
use futures::{FutureExt, future::BoxFuture};
use kube::Client;
use ottla_core::ids::{BrokerId, TopicId};
use tokio::sync::Notify;

use crate::kafka::{fake::FakeCluster, *};

/// When to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Instead of doing the write with that number, counted from 1.
    Before(usize),
    /// Once that write is done, before its answer comes.
    After(usize),
    /// Not at all.
    Never,
}

/// Counts the writes of an operator, and lets it die once.
pub struct Mortal {
    death: Death,
    writes: AtomicUsize,
    died: Notify,
}

impl Mortal {
    /// One that dies at `death`.
    pub fn new(death: Death) -> Arc<Self> {
        Arc::new(Self { death, writes: AtomicUsize::new(0), died: Notify::new() })
    }

    /// How many writes there were.
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Whether it has come to the write at which it dies.
    pub fn has_died(&self) -> bool {
        matches!(self.death, Death::Before(at) | Death::After(at) if self.writes() >= at)
    }

    /// Resolves at its death.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    /// Its way to Kubernetes.
    pub fn client(self: &Arc<Self>, router: Router, namespace: &str) -> Client {
        let mortal = self.clone();
        let pass = move |request: Request, next: Next| {
            let mortal = mortal.clone();
            async move {
                if request.method() == Method::GET {
                    next.run(request).await
                } else {
                    mortal.write(next.run(request)).await
                }
            }
        };
        let answer: Router = router.layer(from_fn(pass));
        Client::new(answer, namespace)
    }

    /// Its way to the brokers.
    pub fn connector(self: &Arc<Self>, kafka: FakeCluster) -> Arc<dyn Connector> {
        Arc::new(MortalConnector { mortal: self.clone(), kafka })
    }

    /// Does a write, and does not come back from the one at which it dies.
    async fn write<T>(&self, done: impl Future<Output = T>) -> T {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        if self.death == Death::Before(number) {
            self.died.notify_one();
            return std::future::pending().await;
        }
        let answer = done.await;
        if self.death == Death::After(number) {
            self.died.notify_one();
            return std::future::pending().await;
        }
        answer
    }
}

struct MortalConnector {
    mortal: Arc<Mortal>,
    kafka: FakeCluster,
}

impl Connector for MortalConnector {
    fn connect(&self, bootstrap: &Bootstrap) -> Arc<dyn ClusterAdmin> {
        Arc::new(MortalAdmin { mortal: self.mortal.clone(), admin: self.kafka.connect(bootstrap) })
    }
}

struct MortalAdmin {
    mortal: Arc<Mortal>,
    admin: Arc<dyn ClusterAdmin>,
}

/// Reads pass, writes are counted.
macro_rules! admin {
    (reads { $($read:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* }
     writes { $($write:ident($($warg:ident: $wtype:ty),*) -> $wanswer:ty;)* }) => {
        impl ClusterAdmin for MortalAdmin {
            $(fn $read<'a>(&'a self, $($arg: $type),*) -> BoxFuture<'a, Result<$answer>> {
                self.admin.$read($($arg),*)
            })*
            $(fn $write<'a>(&'a self, $($warg: $wtype),*) -> BoxFuture<'a, Result<$wanswer>> {
                // The fake does it when it is called.
                async move { self.mortal.write(async move { self.admin.$write($($warg),*).await }).await }.boxed()
            })*
        }
    };
}

admin! {
    reads {
        cluster() -> ClusterView;
        topic(name: &'a str) -> Option<TopicView>;
        own_config(of: &'a ConfigOf) -> OwnConfig;
        brokers() -> Vec<BrokerView>;
        partition_health() -> PartitionHealth;
        placements() -> Vec<TopicPlacement>;
        quorum() -> QuorumView;
        check_restart(broker: BrokerId) -> RestartVerdict;
        log_dirs(broker: &'a BrokerAt) -> Vec<LogDir>;
    }
    writes {
        create_topic(topic: &'a NewTopic) -> ();
        grow_topic(name: &'a str, total: i32) -> ();
        change_config(of: &'a ConfigOf, changes: &'a [ConfigChange]) -> ();
        delete_topic(id: TopicId, name: &'a str) -> ();
        cordon(broker: BrokerId, cordoned: bool) -> ();
        advertise(broker: BrokerId, listeners: &'a str) -> ();
        reassign(wanted: &'a [Reassignment]) -> Vec<NotReassigned>;
        alter_log_dirs(broker: &'a BrokerAt, moves: &'a [LogDirMove]) -> ();
        elect_preferred(partitions: &'a [(String, i32)]) -> ();
        unregister(broker: BrokerId) -> ();
        add_voter(broker: BrokerId) -> ();
        remove_voter(broker: BrokerId, directory: &'a str) -> ();
        retire_disk(broker: BrokerId, directory: &'a str) -> ();
    }
}
