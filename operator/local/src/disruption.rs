//! PodDisruptionBudgets: how many of their pods may be taken away now, and whether a given one may.
//!
//! The controller writes the status; the eviction subresource asks [`verdict`]. How many pods there should be is taken from
//! the StatefulSets and ReplicaSets that control them; a pod without either counts as one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{Selector, SelectorExt as _};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::pod_state::{is_ending, is_over, is_ready};

/// How long a pod that is being evicted is expected to go; after that it counts as staying.
const EVICTION: SignedDuration = SignedDuration::from_mins(2);

/// What a budget says of the eviction of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may go, and that costs the budget nothing.
    Free,
    /// It may go, and the budget must count it.
    Counted,
    /// It must stay for now, and why.
    Refused(String),
}

/// Whether `pod` is one of the pods of `budget`.
pub(crate) fn selects(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
    budget.namespace() == pod.namespace() && selector.is_some_and(|selector| selector.matches(pod.labels()))
}

/// Whether `pod`, which `budget` selects, may be evicted.
pub(crate) fn verdict(budget: &PodDisruptionBudget, pod: &Pod) -> Verdict {
    let status = budget.status.clone().unwrap_or_default();
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    if is_over(pod) || is_ending(pod) || phase == "Pending" {
        return Verdict::Free;
    }
    let name = budget.name_any();
    if status.observed_generation < budget.metadata.generation {
        return Verdict::Refused(format!("The disruption budget {name} is still being processed by the server."));
    }
    let always = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
    let (needed, healthy) = (status.desired_healthy.unwrap_or(0), status.current_healthy.unwrap_or(0));
    let enough = needed > 0 && healthy >= needed;
    if !is_ready(pod) && (always == Some("AlwaysAllow") || enough) {
        return Verdict::Free;
    }
    if status.disruptions_allowed.unwrap_or(0) > 0 {
        return Verdict::Counted;
    }
    Verdict::Refused(format!("The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"))
}

/// The status of `budget`, given its `pods` and how many there should be, at `now`.
fn assess(budget: &PodDisruptionBudget, pods: &[Pod], expected: i32, now: Timestamp) -> PodDisruptionBudgetStatus {
    let before = budget.status.clone().unwrap_or_default();
    let going = |name: &str, since: &Time| {
        let stays = pods.iter().any(|pod| pod.name_any() == name && !is_ending(pod));
        stays && now.duration_since(since.0) < EVICTION
    };
    let disrupted: BTreeMap<String, Time> =
        before.disrupted_pods.into_iter().flatten().filter(|(name, since)| going(name, since)).collect();
    let healthy = |pod: &&Pod| is_ready(pod) && !is_ending(pod) && !disrupted.contains_key(&pod.name_any());
    let current = i32::try_from(pods.iter().filter(healthy).count()).unwrap_or(i32::MAX);
    let spec = budget.spec.clone().unwrap_or_default();
    let desired = match (&spec.min_available, &spec.max_unavailable) {
        (Some(least), _) => amount(least, expected),
        (None, Some(most)) => (expected - amount(most, expected)).max(0),
        (None, None) => expected,
    };
    let allowed = if expected == 0 { 0 } else { (current - desired).max(0) };
    let (holds, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let same = before.conditions.into_iter().flatten().find(|old| old.status == holds);
    let condition = Condition {
        type_: "DisruptionAllowed".to_owned(),
        status: holds.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: budget.metadata.generation,
        last_transition_time: same.map_or(Time(now), |old| old.last_transition_time),
    };
    PodDisruptionBudgetStatus {
        observed_generation: budget.metadata.generation,
        expected_pods: Some(expected),
        current_healthy: Some(current),
        desired_healthy: Some(desired),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(disrupted).filter(|pods| !pods.is_empty()),
        conditions: Some(vec![condition]),
    }
}

/// A number, or a percentage of `whole`, rounded up.
fn amount(amount: &IntOrString, whole: i32) -> i32 {
    match amount {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(100);
            i32::try_from((i64::from(whole) * percent + 99) / 100).unwrap_or(i32::MAX)
        }
    }
}

/// Runs the controller until `shutdown`.
pub async fn run(client: Client, shutdown: CancellationToken) {
    let budgets: Api<PodDisruptionBudget> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    let sets: Api<StatefulSet> = Api::all(client.clone());
    let controller = Controller::new(budgets, watcher::Config::default());
    let (of_pod, of_set) = (controller.store(), controller.store());
    controller
        .watches(pods, watcher::Config::default(), move |pod| budgets_that(&of_pod, |budget| selects(budget, &pod)))
        .watches(sets, watcher::Config::default(), move |set| {
            budgets_that(&of_set, |budget| budget.namespace() == set.namespace())
        })
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, on_error, Arc::new(client))
        .for_each(|_| std::future::ready(()))
        .await;
}

fn budgets_that(
    budgets: &Store<PodDisruptionBudget>,
    fits: impl Fn(&PodDisruptionBudget) -> bool,
) -> Vec<ObjectRef<PodDisruptionBudget>> {
    budgets.state().iter().filter(|budget| fits(budget)).map(|budget| ObjectRef::from_obj(&**budget)).collect()
}

fn on_error(budget: Arc<PodDisruptionBudget>, error: &kube::Error, _: Arc<Client>) -> Action {
    warn!(budget = budget.name_any(), error = error as &dyn std::error::Error, "budget not settled, trying again");
    Action::requeue(Duration::from_secs(1))
}

async fn reconcile(budget: Arc<PodDisruptionBudget>, client: Arc<Client>) -> kube::Result<Action> {
    let namespace = budget.namespace().unwrap_or_default();
    let api: Api<PodDisruptionBudget> = Api::namespaced((*client).clone(), &namespace);
    // The newest version: an eviction may have counted a pod a moment ago.
    let Some(budget) = api.get_opt(&budget.name_any()).await? else { return Ok(Action::await_change()) };
    let mut pods = Api::<Pod>::namespaced((*client).clone(), &namespace).list(&ListParams::default()).await?.items;
    pods.retain(|pod| selects(&budget, pod) && !is_over(pod));
    let expected = expected(&client, &namespace, &budget, &pods).await?;
    let status = assess(&budget, &pods, expected, Timestamp::now());
    if budget.status.as_ref() != Some(&status) {
        let metadata = json!({"resourceVersion": budget.resource_version()});
        let patch = Patch::Merge(json!({"metadata": metadata, "status": patch_of(&budget, &status)}));
        match api.patch_status(&budget.name_any(), &PatchParams::default(), &patch).await {
            // Changed meanwhile, which wakes this again; or gone.
            Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => {}
            written => drop(written?),
        }
    }
    let waits = status.disrupted_pods.is_some();
    Ok(if waits { Action::requeue(EVICTION.unsigned_abs()) } else { Action::await_change() })
}

/// What merges `status` into the one of `budget`: a pod that is no longer disrupted has to be taken out by name.
fn patch_of(budget: &PodDisruptionBudget, status: &PodDisruptionBudgetStatus) -> Value {
    let before = budget.status.iter().flat_map(|status| status.disrupted_pods.iter().flatten());
    let mut disrupted: Map<String, Value> = before.map(|(name, _)| (name.clone(), Value::Null)).collect();
    disrupted.extend(status.disrupted_pods.iter().flatten().map(|(name, since)| (name.clone(), json!(since))));
    let mut patch = json!(status);
    patch["disruptedPods"] = disrupted.into();
    patch
}

/// How many pods there should be.
async fn expected(client: &Client, namespace: &str, budget: &PodDisruptionBudget, pods: &[Pod]) -> kube::Result<i32> {
    let present = i32::try_from(pods.len()).unwrap_or(i32::MAX);
    if budget.spec.as_ref().is_some_and(|spec| matches!(spec.min_available, Some(IntOrString::Int(_)))) {
        return Ok(present);
    }
    let (mut owners, mut alone) = (BTreeSet::new(), 0);
    for pod in pods {
        match pod.owner_references().iter().find(|owner| owner.controller == Some(true)) {
            Some(owner) => drop(owners.insert((owner.kind.clone(), owner.name.clone()))),
            None => alone += 1,
        }
    }
    let mut sum = alone;
    for (kind, name) in owners {
        let replicas = match kind.as_str() {
            "StatefulSet" => {
                let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
                sets.get_opt(&name).await?.and_then(|set| set.spec.replicas)
            }
            "ReplicaSet" => {
                let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
                sets.get_opt(&name).await?.and_then(|set| set.spec.replicas)
            }
            _ => None,
        };
        sum += replicas.unwrap_or(1);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
        let mut whole = json!({"selector": {"matchLabels": {"app": "web"}}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let metadata = json!({"name": "web", "namespace": "shop", "generation": 2});
        let mut counts = json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0});
        counts.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        from_value(json!({"metadata": metadata, "spec": whole, "status": counts})).unwrap()
    }

    fn pod(name: &str, ready: bool) -> Pod {
        let status = if ready { "True" } else { "False" };
        from_value(json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
        }))
        .unwrap()
    }

    fn counts(budget: &PodDisruptionBudget, pods: &[Pod], expected: i32) -> (i32, i32, i32) {
        let status = assess(budget, pods, expected, now());
        (status.current_healthy.unwrap(), status.desired_healthy.unwrap(), status.disruptions_allowed.unwrap())
    }

    #[test]
    fn what_may_go_is_what_is_healthy_beyond_what_must_stay() {
        let pods = [pod("a", true), pod("b", true), pod("c", false)];
        let one_at_a_time = budget(json!({"maxUnavailable": 1}), json!({}));
        assert_eq!(counts(&one_at_a_time, &pods, 3), (2, 2, 0));
        assert_eq!(counts(&one_at_a_time, &[pods[0].clone(), pods[1].clone(), pod("c", true)], 3), (3, 2, 1));
        assert_eq!(counts(&one_at_a_time, &pods, 5), (2, 4, 0), "two are missing altogether");
        assert_eq!(counts(&budget(json!({"minAvailable": "50%"}), json!({})), &pods, 3), (2, 2, 0));
        assert_eq!(counts(&budget(json!({"minAvailable": 1}), json!({})), &pods, 3), (2, 1, 1));
    }

    #[test]
    fn a_pod_that_was_evicted_a_moment_ago_no_longer_counts_and_after_a_while_it_does_again() {
        let pods = [pod("a", true), pod("b", true)];
        let spec = json!({"minAvailable": 1});
        let fresh = budget(spec.clone(), json!({"disruptedPods": {"a": "2026-01-01T00:09:30Z"}}));
        assert_eq!(counts(&fresh, &pods, 2), (1, 1, 0));
        let stale = budget(spec, json!({"disruptedPods": {"a": "2026-01-01T00:07:30Z"}}));
        assert_eq!(counts(&stale, &pods, 2), (2, 1, 1));
        let status = assess(&stale, &pods, 2, now());
        assert_eq!(status.disrupted_pods, None);
        assert_eq!(patch_of(&stale, &status)["disruptedPods"], json!({"a": null}));
    }

    #[test]
    fn an_eviction_is_counted_refused_or_free() {
        let status = |allowed: i32| json!({"observedGeneration": 2, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2});
        let allows = budget(json!({"maxUnavailable": 1}), status(1));
        let full = budget(json!({"maxUnavailable": 1}), status(0));
        assert_eq!(verdict(&allows, &pod("a", true)), Verdict::Counted);
        let Verdict::Refused(why) = verdict(&full, &pod("a", true)) else { panic!("not refused") };
        assert_eq!(why, "The disruption budget web needs 2 healthy pods and has 2 currently");
        assert_eq!(verdict(&full, &pod("a", false)), Verdict::Free, "it is missing anyway");
        let mut short = full.clone();
        short.status.as_mut().unwrap().current_healthy = Some(1);
        assert!(matches!(verdict(&short, &pod("a", false)), Verdict::Refused(_)));
        short.spec.as_mut().unwrap().unhealthy_pod_eviction_policy = Some("AlwaysAllow".to_owned());
        assert_eq!(verdict(&short, &pod("a", false)), Verdict::Free);
        let mut old = allows;
        old.status.as_mut().unwrap().observed_generation = Some(1);
        assert!(matches!(verdict(&old, &pod("a", true)), Verdict::Refused(_)));
    }
}
