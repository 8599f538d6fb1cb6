//! From a raw spec to one that can be served, or to the reason why not.
//!
//! The API server has checked the shape. Here is what only the operator knows: which settings exist, what this release
//! serves, and what of a running cluster cannot change.

mod config;
mod running;

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::apis::meta::v1::OwnerReference};
use ottla_crds::{
    KafkaClusterSpec,
    cluster::{Advertise, Listener, ListenerType, PodTemplate, Rebalance, RetainClaims, Volume},
};

use super::{disruption, observe::Observed, retired};
use crate::{
    child::owner_reference,
    config::OperatorConfig,
    error::Refusal,
    names::{FOUNDED, Names},
    quantity,
};

pub use config::{MOVE_RATES, Settings};
pub use running::WAITING;

/// Labels of a pod that Kubernetes itself copies from its node, so that a broker can know its rack.
const RACK_LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// A cluster whose every part can be served; only this is built.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidCluster {
    /// The names of its objects.
    pub names: Names,
    /// What its children carry as owner.
    pub owner: OwnerReference,
    /// Whether its brokers served once, so that none may found it again.
    pub founded: bool,
    /// How many brokers.
    pub brokers: i32,
    /// How many of them vote, from ordinal 0.
    pub controllers: i32,
    /// The brokers' image.
    pub image: String,
    /// Settings, by how they reach the brokers.
    pub settings: Settings,
    /// How partitions are balanced.
    pub rebalance: Rebalance,
    /// The disks of each broker.
    pub volumes: Vec<Volume>,
    /// By broker, the disks that the cluster has retired: one that comes back on them begins with an empty one.
    pub retired: BTreeMap<i32, String>,
    /// What becomes of the claims.
    pub retain: RetainClaims,
    /// Whether one more broker may be taken away now.
    pub bears_disruption: bool,
    /// Where clients connect; one at least is internal.
    pub listeners: Vec<ValidListener>,
    /// The pod label that holds the rack.
    pub rack_label: Option<String>,
    /// Memory and CPU of each broker.
    pub resources: Option<ResourceRequirements>,
    /// What a person adds to the pods.
    pub pod: PodTemplate,
}

/// A plain listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidListener {
    /// Its name in the spec, which names ports.
    pub name: String,
    /// Its name in Kafka.
    pub kafka_name: String,
    /// Its port.
    pub port: i32,
    /// Who can reach it.
    pub type_: ListenerType,
    /// The address clients inside are told.
    pub advertise: Advertise,
}

impl ValidCluster {
    /// The listeners inside the Kubernetes cluster; brokers use the first one among themselves.
    pub fn internal_listeners(&self) -> impl Iterator<Item = &ValidListener> {
        self.listeners.iter().filter(|listener| listener.type_ == ListenerType::Internal)
    }
}

/// Checks all of the spec against this release and against what runs.
///
/// # Errors
/// The first thing that a person has to change.
pub fn validate(observed: &Observed, operator: &OperatorConfig) -> Result<ValidCluster, Refusal> {
    let spec = observed.spec();
    served(spec)?;
    let settings = config::settings(spec)?;
    let volumes = volumes(spec)?;
    running::unchanged(observed)?;
    let owner = owner_reference(&observed.cluster)
        .ok_or_else(|| Refusal::invalid_spec("the KafkaCluster has no name or uid yet"))?;
    let annotations = observed.cluster.metadata.annotations.as_ref();
    Ok(ValidCluster {
        names: observed.names.clone(),
        owner,
        founded: annotations.is_some_and(|annotations| annotations.contains_key(FOUNDED)),
        brokers: spec.brokers,
        controllers: spec.controllers.unwrap_or_else(|| default_controllers(spec.brokers)),
        image: spec.image.clone().unwrap_or_else(|| operator.broker_image.clone()),
        settings,
        rebalance: spec.rebalance.clone(),
        volumes,
        retired: retired::by_broker(observed),
        retain: spec.storage.retain,
        bears_disruption: disruption::is_bearable(observed),
        listeners: listeners(spec)?,
        rack_label: spec.rack.as_ref().map(|rack| rack.topology_key.clone()),
        resources: spec.resources.clone(),
        pod: spec.pod_template.clone().unwrap_or_default(),
    })
}

/// The largest odd number that is neither above 3 nor above the number of brokers.
pub(super) fn default_controllers(brokers: i32) -> i32 {
    if brokers >= 3 { 3 } else { 1 }
}

/// What this release does not do yet.
fn served(spec: &KafkaClusterSpec) -> Result<(), Refusal> {
    if let Some(rack) = spec.rack.as_ref().filter(|rack| !RACK_LABELS.contains(&rack.topology_key.as_str())) {
        let message = format!(
            "spec.rack.topologyKey \"{}\" is not known to pods: use {} or {}",
            rack.topology_key, RACK_LABELS[0], RACK_LABELS[1]
        );
        return Err(Refusal::not_served(message));
    }
    Ok(())
}

fn listeners(spec: &KafkaClusterSpec) -> Result<Vec<ValidListener>, Refusal> {
    if !spec.listeners.iter().any(|listener| listener.type_ == ListenerType::Internal) {
        let message = "no listener is of type Internal, which brokers and the operator use among themselves: add one";
        return Err(Refusal::invalid_spec(message));
    }
    spec.listeners.iter().map(listener).collect()
}

fn listener(listener: &Listener) -> Result<ValidListener, Refusal> {
    let name = &listener.name;
    if listener.type_ != ListenerType::Internal && listener.advertise != Advertise::Hostname {
        let message = format!("listener {name}: advertise is for type Internal: remove it, or set type to Internal");
        return Err(Refusal::invalid_spec(message));
    }
    if listener.tls.is_some() {
        let message = format!("listener {name}: this release serves no TLS: remove tls, or the listener");
        return Err(Refusal::not_served(message));
    }
    if listener.authentication.is_some() {
        let message =
            format!("listener {name}: this release serves no authentication: remove authentication, or the listener");
        return Err(Refusal::not_served(message));
    }
    Ok(ValidListener {
        name: name.clone(),
        kafka_name: name.to_uppercase(),
        port: listener.port,
        type_: listener.type_,
        advertise: listener.advertise,
    })
}

fn volumes(spec: &KafkaClusterSpec) -> Result<Vec<Volume>, Refusal> {
    let mut seen = BTreeMap::new();
    for volume in &spec.storage.volumes {
        if seen.insert(&volume.name, ()).is_some() {
            return Err(Refusal::invalid_spec(format!("volume {} is given twice: rename one", volume.name)));
        }
        if quantity::milli(&volume.size).is_none_or(|size| size <= 0) {
            let message =
                format!("volume {}: size \"{}\" is no amount of bytes such as 10Gi", volume.name, volume.size);
            return Err(Refusal::invalid_spec(message));
        }
    }
    Ok(spec.storage.volumes.clone())
}

#[cfg(test)]
mod tests;
