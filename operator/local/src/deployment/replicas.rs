//! A ReplicaSet: as many pods of its template as it asks for. Pure.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Resource as _, ResourceExt as _};

use crate::pod_state::{is_ending, is_over, is_ready, ready_since};

/// What there is to do and to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Pods to make.
    pub create: Vec<Pod>,
    /// Names and uids of pods to delete.
    pub delete: Vec<(String, String)>,
    /// The status as the world is now.
    pub status: ReplicaSetStatus,
    /// When a ready pod becomes available, if that is what the status waits for.
    pub next_available: Option<Timestamp>,
}

/// Plans for `set`, given the `pods` it controls, at `now`.
pub fn plan(set: &ReplicaSet, pods: &[Pod], now: Timestamp) -> Plan {
    let spec = &set.spec;
    let alive: Vec<&Pod> = pods.iter().filter(|pod| !is_over(pod) && !is_ending(pod)).collect();
    let min_ready = SignedDuration::from_secs(spec.min_ready_seconds.unwrap_or(0).into());
    let available_at = |pod: &Pod| ready_since(pod).map(|since| since + min_ready);
    let count = |matches: &dyn Fn(&Pod) -> bool| {
        i32::try_from(alive.iter().filter(|pod| matches(pod)).count()).unwrap_or(i32::MAX)
    };
    let status = ReplicaSetStatus {
        observed_generation: set.metadata.generation,
        replicas: count(&|_| true),
        ready_replicas: Some(count(&is_ready)),
        available_replicas: Some(count(&|pod| available_at(pod).is_some_and(|at| at <= now))),
        fully_labeled_replicas: Some(count(&|_| true)),
        ..ReplicaSetStatus::default()
    };
    let next_available = alive.iter().filter_map(|pod| available_at(pod)).filter(|at| *at > now).min();
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    if set.metadata.deletion_timestamp.is_some() {
        return Plan { create: Vec::new(), delete: Vec::new(), status, next_available };
    }
    let create = (alive.len()..wanted).map(|_| pod_of(set)).collect();
    let delete = surplus(alive, wanted).into_iter().map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()));
    Plan { create, delete: delete.collect(), status, next_available }
}

/// The pods beyond `wanted`: those that are not ready before those that are, the younger before the older.
fn surplus(mut alive: Vec<&Pod>, wanted: usize) -> Vec<&Pod> {
    alive.sort_by_key(|pod| (!is_ready(pod), pod.creation_timestamp().map(|time| time.0)));
    alive.split_off(wanted.min(alive.len()))
}

fn pod_of(set: &ReplicaSet) -> Pod {
    let template = set.spec.template.clone().unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", set.name_any())),
            namespace: set.namespace(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(set.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}
