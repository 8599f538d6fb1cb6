//! What a pass found, as status: conditions, brokers, partitions, and where clients connect.
//!
//! Made from what was observed, never from what was hoped: after a pass that changed something the cluster is not
//! Ready, and the next pass says more. Written only if it differs.

mod brokers;
mod conditions;
mod partitions;

use k8s_openapi::jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use ottla_crds::{
    KafkaCluster, KafkaClusterStatus,
    cluster::{BrokerState, BrokerStatus, ListenerStatus},
};
use serde_json::json;

use super::{
    observe::{Kafka, Observed},
    pods, reach,
    validate::MOVE_RATES,
};
use crate::{
    config::VERSION,
    context::Context,
    error::{Error, Refusal, Result},
    names::{CLUSTER_ID, FIELD_MANAGER},
};

/// How a pass went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The spec cannot be served until a person changes something.
    Refused(Refusal),
    /// The operator was asked to leave the cluster alone.
    Paused,
    /// Something is being changed.
    Changing,
    /// Something is to be changed once the cluster can bear it; this keeps it.
    HeldUp(Refusal),
    /// Partitions were moved, and nothing else.
    Balancing,
    /// Nothing was left to change.
    Settled,
}

impl Outcome {
    /// The name it is counted under.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "stalled",
            Self::Paused => "paused",
            Self::Changing => "changed",
            Self::HeldUp(_) => "held up",
            Self::Balancing => "balanced",
            Self::Settled => "settled",
        }
    }
}

/// The status that `outcome` and what was observed make at `now`.
pub fn assess(observed: &Observed, outcome: &Outcome, now: Timestamp) -> KafkaClusterStatus {
    let old = observed.cluster.status.clone().unwrap_or_default();
    let generation = observed.cluster.metadata.generation;
    // Without an answer there is none: the last known numbers would look like the present ones.
    let partitions = observed.controller().map(partitions::summary);
    let broker_states = brokers::states(observed);
    let serves = |broker: &&BrokerStatus| broker.state == BrokerState::Ready;
    let ready = broker_states.iter().filter(serves).count();
    let mut status = KafkaClusterStatus {
        observed_generation: generation,
        cluster_id: observed.cluster.metadata.annotations.as_ref().and_then(|all| all.get(CLUSTER_ID)).cloned(),
        brokers: i32::try_from(observed.pods.len()).unwrap_or(i32::MAX),
        ready_brokers: i32::try_from(ready).unwrap_or(i32::MAX),
        selector: Some(observed.names.selector_text()),
        version: Some(VERSION.to_owned()),
        listeners: listeners(observed),
        managed_config: managed_config(observed, outcome, &old),
        partitions,
        broker_states,
        conditions: old.conditions,
    };
    for finding in conditions::findings(observed, outcome, &status) {
        ottla_crds::conditions::set(&mut status.conditions, finding, generation, now);
    }
    status
}

/// Writes the status if it differs from the stored one, and takes over what is stored now; says whether it did.
pub async fn write(observed: &mut Observed, status: &KafkaClusterStatus, context: &Context) -> Result<bool> {
    if observed.cluster.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let api: Api<KafkaCluster> = Api::namespaced(context.client.clone(), &observed.names.namespace);
    let patch = json!({
        "apiVersion": "ottla.io/v1alpha1",
        "kind": "KafkaCluster",
        "metadata": { "name": observed.names.cluster, "uid": observed.uid },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let doing = "write the status of the KafkaCluster";
    let name = &observed.names.cluster;
    let stored = api.patch_status(name, &params, &Patch::Apply(&patch)).await.map_err(Error::kubernetes(doing))?;
    // The steps that follow have to name this version, not the one before.
    observed.cluster.metadata.resource_version = stored.metadata.resource_version;
    observed.cluster.status = Some(status.clone());
    Ok(true)
}

/// While changes are under way, keys of the old and of the new spec are both the operator's to reset.
fn managed_config(observed: &Observed, outcome: &Outcome, old: &KafkaClusterStatus) -> Vec<String> {
    let mut keys: Vec<String> = match outcome {
        Outcome::Refused(_) | Outcome::Paused => return old.managed_config.clone(),
        Outcome::Changing | Outcome::HeldUp(_) => old.managed_config.clone(),
        Outcome::Settled | Outcome::Balancing if matches!(observed.kafka, Kafka::Seen { .. }) => Vec::new(),
        Outcome::Settled | Outcome::Balancing => old.managed_config.clone(),
    };
    keys.extend(observed.spec().config.keys().cloned());
    if observed.spec().rebalance.throttle_bytes_per_second.is_some() {
        keys.extend(MOVE_RATES.map(str::to_owned));
    }
    keys.sort();
    keys.dedup();
    keys
}

/// What clients take as `bootstrap.servers`: the Service's name, or the pods themselves where those are advertised; from
/// outside, nodes or a load balancer.
fn listeners(observed: &Observed) -> Vec<ListenerStatus> {
    use ottla_crds::cluster::{Advertise, ListenerType};
    let addresses: Vec<&str> = observed.pods.iter().filter_map(pods::address).collect();
    let servers = |listener: &ottla_crds::cluster::Listener| match listener.advertise {
        _ if listener.type_ != ListenerType::Internal => reach::bootstrap(listener, observed).unwrap_or_default(),
        Advertise::Hostname => pods::socket(&observed.names.bootstrap_host(), listener.port),
        Advertise::PodIp => {
            let mut sockets: Vec<_> = addresses.iter().map(|address| pods::socket(address, listener.port)).collect();
            sockets.sort();
            sockets.join(",")
        }
    };
    let all = observed.spec().listeners.iter();
    let all = all.map(|listener| ListenerStatus { name: listener.name.clone(), bootstrap_servers: servers(listener) });
    all.filter(|listener| !listener.bootstrap_servers.is_empty()).collect()
}

#[cfg(test)]
mod tests;
