//! Which brokers, if any, have to start again from what is wanted now, and in which order.
//!
//! One at a time: while any other broker does not serve, none that serves is stopped. A broker that does not serve
//! anyway may go at once, so that a broken template is left by correcting the spec. The one with the active controller
//! goes last, so that a roll moves the controller once. Whether the cluster can spare a broker is asked when it is due.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use ottla_core::ids::BrokerId;

use super::super::{observe::Observed, pods};

/// One broker to start again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Its pod.
    pub pod: String,
    /// That pod and no later one of its name.
    pub uid: String,
    /// The broker, if it serves: then the others have to be able to spare it.
    pub serving: Option<BrokerId>,
    /// How many partitions it makes unavailable meanwhile, because they have no copy to spare; known once it is chosen.
    pub unavoidable: u32,
    /// What for.
    pub why: Why,
}

/// Why a broker's pod is replaced, or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another spec is wanted.
    NewSpec,
    /// It is given a new disk.
    NewDisk,
    /// Its node is gone and cannot end it: it is taken out of the books at once.
    NodeGone,
    /// So it is, and no other one is to come: its broker has left.
    Farewell,
}

/// The pods that were not made from the template with the fingerprint `template`, in the order to restart them: the
/// first that can be spared, and no other, is next.
pub(super) fn due(observed: &Observed, template: &str) -> Vec<Restart> {
    if !stateful_set_is_current(observed) || observed.pods.iter().any(pods::is_leaving) {
        return Vec::new();
    }
    let ours = observed.pods.iter().filter(|pod| observed.names.broker_of(&pod.name_any()).is_some());
    let (serving, broken): (Vec<_>, Vec<_>) = ours.partition(|pod| pods::is_ready(pod));
    let id = |pod: &Pod| observed.names.broker_of(&pod.name_any()).map(BrokerId);
    let in_turn = |pods: Vec<&Pod>| -> Vec<Restart> {
        let mut stale: Vec<_> = pods.into_iter().filter(|pod| pods::template(pod) != Some(template)).collect();
        stale.sort_by_key(|pod| std::cmp::Reverse((!is_controller(id(pod), observed), id(pod))));
        let restart = |pod: &Pod| {
            let serving = id(pod).filter(|_| pods::is_ready(pod));
            Some(Restart { pod: pod.name_any(), uid: pod.uid()?, serving, unavoidable: 0, why: Why::NewSpec })
        };
        stale.into_iter().filter_map(restart).collect()
    };
    // A pod that is not there is a broker that does not serve, too.
    let all_serve = broken.is_empty() && serving.len() >= wanted_pods(observed);
    let broken = in_turn(broken);
    match broken.is_empty() {
        true if all_serve => in_turn(serving),
        true => Vec::new(),
        false => broken.into_iter().take(1).collect(),
    }
}

fn is_controller(broker: Option<BrokerId>, observed: &Observed) -> bool {
    observed.registered().any(|one| one.is_controller && Some(one.id) == broker)
}

/// Whether the StatefulSet controller has seen what is wanted; until then it would make the old pod again.
pub(super) fn stateful_set_is_current(observed: &Observed) -> bool {
    let Some(stateful_set) = observed.stateful_set() else {
        return false;
    };
    let seen = stateful_set.status.as_ref().and_then(|status| status.observed_generation);
    seen >= stateful_set.metadata.generation
}

/// How many pods the StatefulSet makes.
fn wanted_pods(observed: &Observed) -> usize {
    let replicas = observed.stateful_set().and_then(|stateful_set| stateful_set.spec.replicas);
    replicas.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}
