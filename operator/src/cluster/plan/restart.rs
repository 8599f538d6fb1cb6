//! Which broker, if any, has to start again from what is wanted now.
//!
//! One at a time: while any other broker does not serve, none that serves is stopped. A broker that does not serve
//! anyway may go at once, so that a broken template is left by correcting the spec.

use kube::ResourceExt;

use super::super::{observe::Observed, pods};

/// One broker to start again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Its pod.
    pub pod: String,
    /// That pod and no later one of its name.
    pub uid: String,
}

/// The next pod that was not made from the template with the fingerprint `template`.
pub(super) fn next(observed: &Observed, template: &str) -> Option<Restart> {
    if !stateful_set_is_current(observed) || observed.pods.iter().any(pods::is_leaving) {
        return None;
    }
    let ours = observed.pods.iter().filter(|pod| observed.names.broker_of(&pod.name_any()).is_some());
    let (serving, broken): (Vec<_>, Vec<_>) = ours.partition(|pod| pods::is_ready(pod));
    let is_stale = |pod: &&&_| pods::template(pod) != Some(template);
    let by_ordinal = |pod: &&&k8s_openapi::api::core::v1::Pod| observed.names.broker_of(&pod.name_any());
    let all_serve = broken.is_empty();
    let next = broken
        .iter()
        .filter(is_stale)
        .max_by_key(by_ordinal)
        .or_else(|| serving.iter().filter(is_stale).filter(|_| all_serve).max_by_key(by_ordinal))?;
    Some(Restart { pod: next.name_any(), uid: next.uid()? })
}

/// Whether the StatefulSet controller has seen the template; until then it would make the old pod again.
fn stateful_set_is_current(observed: &Observed) -> bool {
    let Some(stateful_set) = observed.stateful_set() else {
        return false;
    };
    let seen = stateful_set.status.as_ref().and_then(|status| status.observed_generation);
    seen >= stateful_set.metadata.generation
}
