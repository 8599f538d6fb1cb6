//! The way to the brokers of an operator whose calls have a fate.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use ottla_core::ids::{BrokerId, TopicId};

use super::Mortal;
use crate::kafka::{fake::FakeCluster, *};

/// The way of `mortal` to the brokers.
pub fn connector(mortal: &Arc<Mortal>, kafka: FakeCluster) -> Arc<dyn Connector> {
    Arc::new(MortalConnector { mortal: mortal.clone(), life: mortal.life(), kafka })
}

struct MortalConnector {
    mortal: Arc<Mortal>,
    life: usize,
    kafka: FakeCluster,
}

impl Connector for MortalConnector {
    fn connect(&self, bootstrap: &Bootstrap) -> Arc<dyn ClusterAdmin> {
        let admin = self.kafka.connect(bootstrap);
        Arc::new(MortalAdmin { mortal: self.mortal.clone(), life: self.life, admin })
    }
}

struct MortalAdmin {
    mortal: Arc<Mortal>,
    life: usize,
    admin: Arc<dyn ClusterAdmin>,
}

fn nobody<T>(_: u16) -> Result<T> {
    Err(Error::Unreachable("the campaign has the call fail".to_owned()))
}

/// Reads and writes of an admin, handed on as the fate of each says.
macro_rules! admin {
    (reads { $($read:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* }
     writes { $($write:ident($($warg:ident: $wtype:ty),*) -> $wanswer:ty;)* }) => {
        impl ClusterAdmin for MortalAdmin {
            $(fn $read<'a>(&'a self, $($arg: $type),*) -> BoxFuture<'a, Result<$answer>> {
                // The fake does it when it is called.
                let done = async move { self.admin.$read($($arg),*).await };
                async move {
                    self.mortal.hear(self.life).await;
                    self.mortal.read(concat!("brokers: ", stringify!($read)), done, nobody).await
                }
                .boxed()
            })*
            $(fn $write<'a>(&'a self, $($warg: $wtype),*) -> BoxFuture<'a, Result<$wanswer>> {
                let done = async move { self.admin.$write($($warg),*).await };
                let name = concat!("brokers: ", stringify!($write)).to_owned();
                async move {
                    self.mortal.hear(self.life).await;
                    self.mortal.write(name, true, done, nobody).await
                }
                .boxed()
            })*
        }
    };
}

admin! {
    reads {
        leaderless() -> u32;
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
