//! Which brokers are gone and do not come back by themselves, and by what signs.
//!
//! A pod that was deleted or crashed is no loss: Kubernetes brings it back on its disk. Pure, and careful: what cannot be
//! known is no sign, and a broker that the controller takes for alive is none of those whose node is silent.

use std::fmt;

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod},
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt;
use ottla_core::ids::BrokerId;

use super::{
    nodes::NodeState,
    observe::Observed,
    pods::{self, broker_end},
};
use crate::{kafka::BrokerView, names::TEMPLATE};

/// How long after its time a pod on its way out may still be there: its node is slow then, and not dead.
const OVERDUE: SignedDuration = SignedDuration::from_secs(30);
/// What a broker ends with whose storage failed.
const STORAGE_FAILED: i32 = 4;

/// What a broker has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// By what sign.
    pub cause: Cause,
    /// The claims whose disks are gone or unusable. None: a new pod may find all of them again elsewhere.
    pub claims: Vec<String>,
}

/// The sign by which a broker is taken for lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The node its pod is on does not report, or is no more.
    NodeSilent,
    /// Its pod should have ended long ago, and nobody on its node says so.
    PodStuck,
    /// Its pod is waiting for a node that holds its disks, and there is none.
    VolumeUnreachable,
    /// A claim lost its volume.
    VolumeLost,
    /// A claim was deleted and only its pod keeps it.
    ClaimDeleted,
    /// It serves, but not what lies on these disks.
    DiskFailed(String),
    /// It ends again and again because of its disks.
    StorageFailed,
}

impl Loss {
    fn new(cause: Cause, claims: Vec<String>) -> Self {
        Self { cause, claims }
    }

    /// Whether nobody is there to end its pod, so that it has to be taken out of the books.
    pub fn leaves_pod_stuck(&self) -> bool {
        matches!(self.cause, Cause::NodeSilent | Cause::PodStuck)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeSilent => "its node does not report",
            Self::PodStuck => "its pod should have ended long ago and its node does not say that it has",
            Self::VolumeUnreachable => "no node holds its volume",
            Self::VolumeLost => "its claim has lost its volume",
            Self::ClaimDeleted => "its claim was deleted",
            Self::DiskFailed(failure) => return write!(f, "a disk of it failed: {failure}"),
            Self::StorageFailed => "its storage fails at every start",
        })
    }
}

/// The brokers that are lost, of those that the StatefulSet makes; none while the active controller cannot be asked.
pub fn losses(observed: &Observed) -> Vec<(i32, Loss)> {
    observed.broker_ids().filter_map(|id| Some((id, loss(id, observed)?))).collect()
}

/// What broker `id` has lost, if it has.
pub fn loss(id: i32, observed: &Observed) -> Option<Loss> {
    let controller = observed.controller()?;
    let registered = controller.brokers.iter().find(|broker| broker.id == BrokerId(id));
    let pod = observed.pod_of(id)?;
    let claims: Vec<&PersistentVolumeClaim> = pods::claims(pod).filter_map(|name| observed.claim(name)).collect();
    let named = |is_it: &dyn Fn(&PersistentVolumeClaim) -> bool| -> Vec<String> {
        claims.iter().filter(|claim| is_it(claim)).map(|claim| claim.name_any()).collect()
    };
    let unreachable = named(&|claim| observed.nodes.volume_is_out_of_reach(&claim.name_any()) == Some(true));
    let is_dead = registered.is_none_or(|broker| broker.fenced);
    // Whatever else it has lost, a pod on a dead node cannot be asked to end.
    if let Some(cause) = node_is_gone(pod, observed).filter(|_| is_dead) {
        return Some(Loss::new(cause, unreachable));
    }
    let lost = named(&|claim| claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Lost")));
    if !lost.is_empty() {
        return Some(Loss::new(Cause::VolumeLost, lost));
    }
    let deleted = named(&|claim| claim.metadata.deletion_timestamp.is_some());
    if !deleted.is_empty() && !pods::is_leaving(pod) {
        return Some(Loss::new(Cause::ClaimDeleted, deleted));
    }
    if let Some(broker) = registered.filter(|_| !is_dead) {
        return failed_disks(pod, broker, observed);
    }
    if pods::is_unscheduled(pod) {
        return waits_for_a_node_that_is_gone(pod, unreachable, &named(&|_| true), observed);
    }
    let ended = broker_end(pod).filter(|end| end.exit_code == STORAGE_FAILED);
    (ended.is_some() && !pods::is_running(pod)).then(|| Loss::new(Cause::StorageFailed, named(&|_| true)))
}

/// Directories that do not work, by the claims they lie on. The broker names them in the order of its configuration,
/// which is that of its pod's mounts if the pod is of the present template.
fn failed_disks(pod: &Pod, broker: &BrokerView, observed: &Observed) -> Option<Loss> {
    let failed: Vec<(usize, &String)> = broker
        .directories
        .iter()
        .enumerate()
        .filter_map(|(at, directory)| Some((at, directory.failure.as_ref()?)))
        .collect();
    let (_, failure) = failed.first()?;
    let stateful_set = observed.stateful_set()?;
    let template = stateful_set.spec.template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let mounted = pods::mounted_claims(pod);
    if template.and_then(|all| all.get(TEMPLATE)).map(String::as_str) != pods::template(pod)
        || mounted.len() != broker.directories.len()
    {
        return None;
    }
    let claims = failed.iter().map(|(at, _)| mounted[*at].to_owned()).collect();
    Some(Loss::new(Cause::DiskFailed((*failure).clone()), claims))
}

fn waits_for_a_node_that_is_gone(
    pod: &Pod,
    unreachable: Vec<String>,
    all: &[String],
    observed: &Observed,
) -> Option<Loss> {
    if !unreachable.is_empty() {
        return Some(Loss::new(Cause::VolumeUnreachable, unreachable));
    }
    let is_known = |claim: &String| observed.nodes.volume_is_out_of_reach(claim).is_some();
    // Whoever may look at volumes and nodes believes them, and not the scheduler's sentence.
    let told =
        !all.iter().any(is_known) && pods::scheduling_trouble(pod).as_deref().is_some_and(names_no_node_of_the_volume);
    told.then(|| Loss::new(Cause::VolumeUnreachable, all.to_vec()))
}

/// Whether the scheduler says that every node either does not report or does not hold the pod's volume. A node with
/// anything else against it may be the volume's own: cordoned, full, or kept for others.
fn names_no_node_of_the_volume(message: &str) -> bool {
    const ELSEWHERE: [&str; 2] = ["volume node affinity conflict", "PersistentVolume's node affinity"];
    const NO_MATTER: [&str; 3] =
        ["node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready", "node-role.kubernetes.io/control-plane"];
    let Some((_, reasons)) = message.split_once("nodes are available: ") else { return false };
    let reasons = reasons.split(". ").next().unwrap_or_default().trim_end_matches('.');
    // A taint without a value is written with a blank after its colon, so that ", " parts reasons alone.
    let has = |reason: &str, parts: &[&str]| parts.iter().any(|part| reason.contains(part));
    let mut all = reasons.split(", ").peekable();
    all.peek().is_some()
        && reasons.split(", ").any(|reason| has(reason, &ELSEWHERE))
        && all.all(|reason| has(reason, &ELSEWHERE) || has(reason, &NO_MATTER))
}

/// Whether the node of `pod`, whose broker the controller takes for dead, is.
fn node_is_gone(pod: &Pod, observed: &Observed) -> Option<Cause> {
    let node = pod.spec.as_ref()?.node_name.as_deref();
    match node.and_then(|node| observed.nodes.state(node)) {
        Some(NodeState::Ready) => None,
        Some(NodeState::NotReady | NodeState::Gone) => Some(Cause::NodeSilent),
        None if is_overdue(pod, observed.now) => Some(Cause::PodStuck),
        None => pods::node_is_silent(pod).then_some(Cause::NodeSilent),
    }
}

fn is_overdue(pod: &Pod, now: Timestamp) -> bool {
    let due = pod.metadata.deletion_timestamp.as_ref();
    due.is_some_and(|due| now.duration_since(due.0) > OVERDUE)
}

#[cfg(test)]
mod tests;
