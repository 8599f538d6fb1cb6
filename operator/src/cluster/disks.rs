//! The disks of brokers that have several, as each broker tells of its own.
//!
//! Only reads. A broker that does not answer, or one of whose disks does not work, is left out: nothing is shifted there.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use ottla_core::ids::BrokerId;
use ottla_crds::cluster::Mode;
use tracing::debug;

use super::{observe::Observed, pods};
use crate::{
    balance::{
        Place,
        disks::{Directory, Disks, Replica},
    },
    context::Context,
    kafka::{BrokerAt, LogDir, LogDirReplica},
};

/// What lies where on the brokers that serve; nothing while the spec pauses moves or gives brokers one volume each.
pub async fn look(observed: &Observed, context: &Context) -> Vec<Disks> {
    let spec = observed.spec();
    let Some(bootstrap) = observed.bootstrap() else { return Vec::new() };
    if spec.storage.volumes.len() < 2 || spec.rebalance.mode == Mode::Paused || observed.controller().is_none() {
        return Vec::new();
    }
    let admin = context.connector.connect(&bootstrap);
    let asked = brokers(observed).into_iter().map(async |broker| match admin.log_dirs(&broker).await {
        Ok(directories) => disks(broker.id, directories),
        Err(error) => {
            debug!(cluster = %observed.names.cluster, broker = %broker.id, %error, "the disks of a broker are not known");
            None
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The brokers that can be asked themselves.
pub fn brokers(observed: &Observed) -> Vec<BrokerAt> {
    let at = |pod: &Pod| {
        let id = observed.names.broker_of(&pod.name_any())?;
        Some(BrokerAt { id: BrokerId(id), address: pods::broker_address(&observed.cluster, pod)? })
    };
    observed.pods.iter().filter_map(at).collect()
}

fn disks(broker: BrokerId, directories: Vec<LogDir>) -> Option<Disks> {
    let directory = |found: LogDir| {
        let size = found.size.filter(|_| found.works)?;
        let replicas = found.replicas.into_iter().map(replica).collect();
        Some(Directory { path: found.path.into(), size, replicas })
    };
    Some(Disks { broker, directories: directories.into_iter().map(directory).collect::<Option<_>>()? })
}

fn replica(found: LogDirReplica) -> Replica {
    let place = Place { topic: found.topic.into(), index: found.partition };
    Replica { place, bytes: found.bytes, is_arriving: found.is_future }
}
