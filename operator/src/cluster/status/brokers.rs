//! One entry for each broker.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::ResourceExt;
use ottla_core::ids::BrokerId;
use ottla_crds::cluster::{BrokerState, BrokerStatus};

use super::{
    super::{loss::loss, observe::Observed, plan::repair::begun, pods},
    partitions::rounded,
};
use crate::{kafka::BrokerView, names::FOUNDED};

/// Every broker that is wanted or there, in order of ids.
pub(super) fn states(observed: &Observed) -> Vec<BrokerStatus> {
    let pods: BTreeMap<i32, &Pod> =
        observed.pods.iter().filter_map(|pod| Some((observed.names.broker_of(&pod.name_any())?, pod))).collect();
    let wanted = 0..observed.spec().brokers;
    let registered = observed.registered();
    let registered = registered.map(|broker| broker.id.0);
    let mut ids: Vec<i32> = wanted.chain(pods.keys().copied()).chain(registered).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| state(id, pods.get(&id).copied(), observed)).collect()
}

fn state(id: i32, pod: Option<&Pod>, observed: &Observed) -> BrokerStatus {
    let registered = observed.controller().and_then(|controller| {
        let mut brokers = controller.brokers.iter();
        brokers.find(|broker| broker.id == BrokerId(id))
    });
    // One that the controller does not know never served, as far as the controller can be asked; nor did one that
    // was starting until now.
    let is_known = observed.controller().is_none() || registered.is_some();
    let was_starting = before(id, observed).is_some_and(|before| before.state == BrokerState::Starting);
    let served_before = observed.cluster.annotations().contains_key(FOUNDED) && is_known && !was_starting;
    let leaves = observed.scaling().is_some_and(|scaling| id >= scaling.to);
    let is_replaced = begun(observed).is_some_and(|begun| begun.broker == id);
    let loss = loss(id, observed);
    // Its own probe may be a few seconds old; the controller's word is not.
    let serves = pod.is_some_and(pods::is_ready) && registered.is_none_or(|broker| !broker.fenced);
    let state = match pod {
        _ if is_replaced => BrokerState::Replacing,
        _ if served_before && leaves => BrokerState::Draining,
        _ if serves => BrokerState::Ready,
        _ if loss.is_some() => BrokerState::Lost,
        _ if served_before => BrokerState::Restarting,
        _ => BrokerState::Starting,
    };
    let count = |number: u32| i32::try_from(number).ok();
    let left = observed.left.get(&BrokerId(id));
    let time_left = left.and_then(|left| left.time);
    BrokerStatus {
        id,
        pod: observed.names.pod(id),
        state,
        lost_since: lost_since(id, serves && loss.is_none(), loss.is_some(), observed),
        epoch: registered.map(|broker| broker.epoch.0),
        leaders: registered.and_then(|broker| count(broker.leaders)),
        replicas: registered.and_then(|broker| count(broker.replicas)),
        bytes_left: left.map(|left| rounded(left.bytes)),
        estimated_seconds_left: time_left.and_then(|time| i64::try_from(time.as_secs()).ok()),
        disk_used_percent: registered.and_then(BrokerView::disk_used_percent),
    }
}

/// Since when the broker is lost. It is until it serves again, whatever signs come and go meanwhile; and as long as the
/// controller cannot be asked, what was found before stands.
fn lost_since(id: i32, is_well: bool, is_lost: bool, observed: &Observed) -> Option<Time> {
    let before = before(id, observed).and_then(|before| before.lost_since.clone());
    match observed.controller() {
        Some(_) if is_well => None,
        Some(_) if is_lost => before.or(Some(Time(observed.now))),
        _ => before,
    }
}

/// What was last said of the broker.
fn before(id: i32, observed: &Observed) -> Option<&BrokerStatus> {
    observed.cluster.status.as_ref()?.broker_states.iter().find(|state| state.id == id)
}
