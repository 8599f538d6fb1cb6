//! One entry for each broker.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use ottla_core::ids::BrokerId;
use ottla_crds::cluster::{BrokerState, BrokerStatus};

use super::super::{
    observe::{Kafka, Observed},
    pods,
};
use crate::names::FOUNDED;

/// Every broker that is wanted or there, in order of ids.
pub(super) fn states(observed: &Observed) -> Vec<BrokerStatus> {
    let pods: BTreeMap<i32, &Pod> =
        observed.pods.iter().filter_map(|pod| Some((observed.names.broker_of(&pod.name_any())?, pod))).collect();
    let wanted = 0..observed.spec().brokers;
    let mut ids: Vec<i32> = wanted.chain(pods.keys().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| state(id, pods.get(&id).copied(), observed)).collect()
}

fn state(id: i32, pod: Option<&Pod>, observed: &Observed) -> BrokerStatus {
    let (leaders, replicas) = match &observed.kafka {
        Kafka::Seen { view, .. } => {
            let partitions = || view.topics.iter().flat_map(|topic| &topic.partitions);
            let leads = partitions().filter(|partition| partition.leader == Some(BrokerId(id))).count();
            let holds = partitions().filter(|partition| partition.replicas.contains(&BrokerId(id))).count();
            (i32::try_from(leads).ok(), i32::try_from(holds).ok())
        }
        Kafka::NotAsked | Kafka::Failed(_) => (None, None),
    };
    let served_before = observed.cluster.annotations().contains_key(FOUNDED);
    let state = match pod {
        Some(pod) if pods::is_ready(pod) => BrokerState::Ready,
        _ if served_before => BrokerState::Restarting,
        _ => BrokerState::Starting,
    };
    BrokerStatus { id, pod: observed.names.pod(id), state, epoch: None, leaders, replicas, disk_used_percent: None }
}
