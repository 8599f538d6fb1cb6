//! What the brokers' pods tell: whether they serve, where, and what keeps those that do not.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ContainerStateTerminated, ContainerStatus, Pod},
};
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

/// Pods of brokers that were not made from what `stateful_set` would make now.
pub fn behind<'a>(pods: &'a [Pod], stateful_set: &StatefulSet) -> Vec<&'a Pod> {
    let template = stateful_set.spec.template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let wanted = template.and_then(|annotations| annotations.get(TEMPLATE)).map(String::as_str);
    pods.iter().filter(|pod| self::template(pod) != wanted).collect()
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
    let mut addresses: Vec<String> = pods.iter().filter_map(|pod| broker_address(cluster, pod)).collect();
    addresses.sort();
    addresses
}

/// Where the broker of `pod` is reached in that way, if it is ready.
pub fn broker_address(cluster: &KafkaCluster, pod: &Pod) -> Option<String> {
    let listener = cluster.spec.listeners.iter().find(|listener| is_plain(listener))?;
    Some(socket(address(pod).filter(|_| is_ready(pod))?, listener.port))
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

/// The claims the pod uses, in no order.
pub fn claims(pod: &Pod) -> impl Iterator<Item = &str> {
    claims_by_volume(pod).map(|(_, claim)| claim)
}

/// The claims the broker's container mounts, in the order of its mounts, which is that of its log directories.
pub fn mounted_claims(pod: &Pod) -> Vec<&str> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mounts = containers
        .filter(|container| container.name == CONTAINER)
        .flat_map(|container| container.volume_mounts.iter().flatten().map(|mount| mount.name.as_str()));
    mounts
        .filter_map(|mount| claims_by_volume(pod).find(|(volume, _)| *volume == mount))
        .map(|(_, claim)| claim)
        .collect()
}

fn claims_by_volume(pod: &Pod) -> impl Iterator<Item = (&str, &str)> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| Some((volume.name.as_str(), volume.persistent_volume_claim.as_ref()?.claim_name.as_str())))
}

/// Whether the scheduler has found no node for the pod.
pub fn is_unscheduled(pod: &Pod) -> bool {
    condition(pod, "PodScheduled").is_some_and(|(status, _)| status == "False")
}

/// Why the scheduler has found no node for the pod, in its words.
pub fn scheduling_trouble(pod: &Pod) -> Option<String> {
    condition(pod, "PodScheduled").filter(|(status, _)| status == "False")?.1
}

/// Whether Kubernetes has marked the pod because its node does not report: a kubelet says of both conditions the same.
pub fn node_is_silent(pod: &Pod) -> bool {
    let is = |name, wanted: &str| condition(pod, name).is_some_and(|(status, _)| status == wanted);
    let reason = pod.status.as_ref().and_then(|status| status.reason.as_deref());
    is("Ready", "Unknown") || is("Ready", "False") && is("ContainersReady", "True") || reason == Some("NodeLost")
}

/// Whether the broker's process runs, be it ready or not.
pub fn is_running(pod: &Pod) -> bool {
    broker_status(pod).is_some_and(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// How the broker's process ended last, if it has.
pub fn broker_end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    last_end(broker_status(pod)?)
}

fn broker_status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == CONTAINER)
}

/// Why the pod does not serve, and what a person can do, if it says so.
pub fn trouble(pod: &Pod) -> Option<String> {
    let name = pod.name_any();
    if is_leaving(pod) {
        return Some(format!("{name} is stopping"));
    }
    if let Some(message) = scheduling_trouble(pod) {
        return Some(format!("{name} finds no node: {message}"));
    }
    let broker = broker_status(pod)?;
    if let Some(end) = last_end(broker).filter(|end| end.exit_code != 0) {
        let (code, last_words) = (end.exit_code, end.message.as_deref().and_then(last_words));
        let said = last_words.map(|words| format!(" (\"{words}\")")).unwrap_or_default();
        return Some(format!("{name} stopped with exit code {code}: {}{said}. See kubectl logs {name}", meaning(code)));
    }
    let waiting = broker.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().filter(|reason| reason != "ContainerCreating")?;
    let message = waiting.message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default();
    Some(format!("{name} does not start: {reason}{message}"))
}

/// How the container's present or previous run ended.
fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    [&status.state, &status.last_state].into_iter().flatten().find_map(|state| state.terminated.as_ref())
}

/// The last line of a log without what stands before its text: the time and the level.
fn last_words(log: &str) -> Option<&str> {
    let line = log.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let text = ["ERROR ", "WARN ", "INFO "].iter().find_map(|level| Some(line.split_once(level)?.1));
    Some(text.unwrap_or(line).trim())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "demo-broker-0"}, "status": status})).unwrap()
    }

    fn container(state: serde_json::Value) -> serde_json::Value {
        let mut status = json!({"name": "broker", "image": "", "imageID": "", "ready": false, "restartCount": 0});
        status.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        json!({"containerStatuses": [status]})
    }

    #[test]
    fn what_keeps_a_pod_from_serving_is_told_in_its_own_words() {
        let log =
            "2026-11-29T14:00:00Z  INFO listening\n2026-11-29T14:00:01Z ERROR num.io.threads=no is not a number\n";
        let ended = |code, message: &str| json!({"terminated": {"exitCode": code, "message": message}});
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "back-off"}});
        let crashing = json!({"state": waiting("CrashLoopBackOff"), "lastState": ended(2, log)});
        let unscheduled = json!({"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"});
        for (status, expected) in [
            (
                container(crashing),
                Some(
                    "demo-broker-0 stopped with exit code 2: it refuses its configuration (\"num.io.threads=no is not a \
                     number\"). See kubectl logs demo-broker-0",
                ),
            ),
            (
                container(json!({"state": ended(137, "")})),
                Some(
                    "demo-broker-0 stopped with exit code 137: it was killed, perhaps for want of memory. See kubectl \
                     logs demo-broker-0",
                ),
            ),
            (
                container(json!({"state": waiting("ImagePullBackOff")})),
                Some("demo-broker-0 does not start: ImagePullBackOff (back-off)"),
            ),
            (container(json!({"state": waiting("ContainerCreating")})), None),
            (container(json!({"state": {"running": {}}})), None),
            (json!({"conditions": [unscheduled]}), Some("demo-broker-0 finds no node: 0/3 nodes are available")),
        ] {
            assert_eq!(trouble(&pod(status.clone())).as_deref(), expected, "{status}");
        }
    }
}
