//! Which broker, if any, has to start again from what is wanted now.
//!
//! One at a time: while any other broker does not serve, none that serves is stopped. A broker that does not serve
//! anyway may go at once, so that a broken template is left by correcting the spec. The one with the active controller
//! goes last, so that a roll moves the controller once. Whether partitions can spare the broker is asked when it is due.

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
}

/// The next pod that was not made from the template with the fingerprint `template`.
pub(super) fn next(observed: &Observed, template: &str) -> Option<Restart> {
    if !stateful_set_is_current(observed) || observed.pods.iter().any(pods::is_leaving) {
        return None;
    }
    let ours = observed.pods.iter().filter(|pod| observed.names.broker_of(&pod.name_any()).is_some());
    let (serving, broken): (Vec<_>, Vec<_>) = ours.partition(|pod| pods::is_ready(pod));
    let is_stale = |pod: &&&_| pods::template(pod) != Some(template);
    let id = |pod: &Pod| observed.names.broker_of(&pod.name_any()).map(BrokerId);
    let by_turn = |pod: &&&Pod| (!is_controller(id(pod), observed), id(pod));
    let all_serve = broken.is_empty();
    if let Some(next) = broken.iter().filter(is_stale).max_by_key(by_turn) {
        return Some(Restart { pod: next.name_any(), uid: next.uid()?, serving: None });
    }
    let next = serving.iter().filter(is_stale).filter(|_| all_serve).max_by_key(by_turn)?;
    Some(Restart { pod: next.name_any(), uid: next.uid()?, serving: id(next) })
}

fn is_controller(broker: Option<BrokerId>, observed: &Observed) -> bool {
    let mut brokers = observed.controller().into_iter().flat_map(|controller| &controller.brokers);
    brokers.any(|one| one.is_controller && Some(one.id) == broker)
}

/// Whether the StatefulSet controller has seen the template; until then it would make the old pod again.
fn stateful_set_is_current(observed: &Observed) -> bool {
    let Some(stateful_set) = observed.stateful_set() else {
        return false;
    };
    let seen = stateful_set.status.as_ref().and_then(|status| status.observed_generation);
    seen >= stateful_set.metadata.generation
}
