//! One entry for each broker.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use ottla_core::ids::BrokerId;
use ottla_crds::cluster::{BrokerState, BrokerStatus};

use super::super::{observe::Observed, pods};
use crate::{kafka::BrokerView, names::FOUNDED};

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
    let registered = observed.controller().and_then(|controller| {
        let mut brokers = controller.brokers.iter();
        brokers.find(|broker| broker.id == BrokerId(id))
    });
    let served_before = observed.cluster.annotations().contains_key(FOUNDED);
    let state = match pod {
        // Its own probe may be a few seconds old; the controller's word is not.
        Some(pod) if pods::is_ready(pod) && registered.is_none_or(|broker| !broker.fenced) => match registered {
            Some(broker) if broker.draining => BrokerState::Draining,
            _ => BrokerState::Ready,
        },
        _ if served_before => BrokerState::Restarting,
        _ => BrokerState::Starting,
    };
    let count = |number: u32| i32::try_from(number).ok();
    BrokerStatus {
        id,
        pod: observed.names.pod(id),
        state,
        epoch: registered.map(|broker| broker.epoch.0),
        leaders: registered.and_then(|broker| count(broker.leaders)),
        replicas: registered.and_then(|broker| count(broker.replicas)),
        disk_used_percent: registered.and_then(BrokerView::disk_used_percent),
    }
}
