//! What the brokers' pods tell: whether they serve, where, and what keeps those that do not.

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::ResourceExt;
use ottla_crds::{
    KafkaCluster,
    cluster::{Listener, ListenerType},
};

use super::build::{CONTAINER, CONTROLLER_PORT};
use crate::names::TEMPLATE;

/// Whether the pod serves: its readiness probe passes and it is not on its way out.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _)| status == "True") && !is_leaving(pod)
}

/// Whether the pod is on its way out.
pub fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// The fingerprint of the template the pod was made from.
pub fn template(pod: &Pod) -> Option<&str> {
    pod.annotations().get(TEMPLATE).map(String::as_str)
}

/// The pod's address, once it has one.
pub fn address(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref().filter(|address| !address.is_empty())
}

/// `host:port`, with the brackets that an IPv6 address needs.
pub fn socket(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Where the operator reaches the brokers that are ready: their own addresses on the first plain internal listener, so
/// that it depends neither on DNS nor on what is advertised.
pub fn addresses(cluster: &KafkaCluster, pods: &[Pod]) -> Vec<String> {
    let Some(listener) = cluster.spec.listeners.iter().find(|listener| is_plain(listener)) else {
        return Vec::new();
    };
    let ready = pods.iter().filter(|pod| is_ready(pod)).filter_map(address);
    let mut addresses: Vec<String> = ready.map(|address| socket(address, listener.port)).collect();
    addresses.sort();
    addresses
}

/// The CONTROLLER listeners of the brokers that are ready.
pub fn control_addresses(pods: &[Pod]) -> Vec<String> {
    let ready = pods.iter().filter(|pod| is_ready(pod)).filter_map(address);
    let mut addresses: Vec<String> = ready.map(|address| socket(address, CONTROLLER_PORT)).collect();
    addresses.sort();
    addresses
}

fn is_plain(listener: &Listener) -> bool {
    listener.type_ == ListenerType::Internal && listener.tls.is_none() && listener.authentication.is_none()
}

/// Why the pod does not serve, and what a person can do, if it says so.
pub fn trouble(pod: &Pod) -> Option<String> {
    let name = pod.name_any();
    if is_leaving(pod) {
        return Some(format!("{name} is stopping"));
    }
    if let Some((_, Some(message))) = condition(pod, "PodScheduled").filter(|(status, _)| status == "False") {
        return Some(format!("{name} finds no node: {message}"));
    }
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let broker = statuses.iter().find(|status| status.name == CONTAINER)?;
    let ended = |state: &Option<ContainerState>| Some(state.as_ref()?.terminated.as_ref()?.exit_code);
    if let Some(code) = ended(&broker.state).or_else(|| ended(&broker.last_state)).filter(|code| *code != 0) {
        return Some(format!("{name} stopped with exit code {code}: {}. See kubectl logs {name}", meaning(code)));
    }
    let waiting = broker.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().filter(|reason| reason != "ContainerCreating")?;
    let message = waiting.message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default();
    Some(format!("{name} does not start: {reason}{message}"))
}

fn meaning(exit_code: i32) -> &'static str {
    match exit_code {
        2 => "it refuses its configuration",
        3 => "its disk belongs to another broker or cluster",
        4 => "its storage failed",
        137 => "it was killed, perhaps for want of memory",
        _ => "it failed",
    }
}

fn condition(pod: &Pod, name: &str) -> Option<(String, Option<String>)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| condition.type_ == name)?;
    Some((found.status.clone(), found.message.clone()))
}
