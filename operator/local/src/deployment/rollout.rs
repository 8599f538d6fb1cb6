//! A Deployment: from the pods of earlier templates to those of the present one, within the bounds of its strategy. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};

use crate::template_hash::template_hash;

/// The label that tells the pods of one template from those of another.
pub const HASH_LABEL: &str = "pod-template-hash";

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make this ReplicaSet.
    Create(Box<ReplicaSet>),
    /// Make a ReplicaSet this large.
    Scale {
        /// Its name.
        name: String,
        /// How many pods.
        replicas: i32,
    },
    /// Delete an old ReplicaSet that has no pods.
    Delete {
        /// Its name.
        name: String,
    },
}

/// What there is to do and to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// The status as the world is now.
    pub status: DeploymentStatus,
}

/// How far a rollout may stray from the wanted number of pods.
struct Bounds {
    wanted: i32,
    surge: i32,
    unavailable: i32,
}

/// Plans for `deployment`, given the ReplicaSets it controls, at `now`.
pub fn plan(deployment: &Deployment, sets: &[ReplicaSet], now: Timestamp) -> Plan {
    let spec = &deployment.spec;
    let hash = template_hash(&spec.template);
    let is_new = |set: &&ReplicaSet| set.labels().get(HASH_LABEL) == Some(&hash);
    let new = sets.iter().find(is_new);
    let mut old: Vec<&ReplicaSet> = sets.iter().filter(|set| !is_new(set)).collect();
    old.sort_by_key(|set| set.creation_timestamp().map(|time| time.0));
    let bounds = Bounds::of(deployment);
    let status = status(deployment, sets, new, &bounds, now);
    if deployment.metadata.deletion_timestamp.is_some() {
        return Plan { actions: Vec::new(), status };
    }
    let recreates = spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate");
    let mut actions = Vec::new();
    if recreates && old.iter().any(|set| size(set) > 0 || present(set) > 0) {
        actions.extend(old.iter().filter(|set| size(set) > 0).map(|set| scale(set, 0)));
        return Plan { actions, status };
    }
    let all: i32 = sets.iter().map(size).sum();
    let room = (bounds.wanted + bounds.surge - all).max(0);
    match new {
        None => actions.push(Action::Create(Box::new(set_of(deployment, &hash, bounds.wanted.min(room))))),
        Some(set) => {
            let wanted = bounds.wanted.min(size(set) + room);
            if wanted != size(set) {
                actions.push(scale(set, wanted));
            }
        }
    }
    let unavailable_new = new.map_or(0, |set| size(set) - available(set)).max(0);
    let mut removable = (all - (bounds.wanted - bounds.unavailable) - unavailable_new).max(0);
    for set in old.iter().filter(|set| size(set) > 0) {
        let less = removable.min(size(set));
        if less > 0 {
            actions.push(scale(set, size(set) - less));
            removable -= less;
        }
    }
    let empty: Vec<_> = old.iter().filter(|set| size(set) == 0 && present(set) == 0).collect();
    let kept = usize::try_from(spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    let surplus = empty.len().saturating_sub(kept);
    actions.extend(empty.iter().take(surplus).map(|set| Action::Delete { name: set.name_any() }));
    Plan { actions, status }
}

impl Bounds {
    fn of(deployment: &Deployment) -> Self {
        let spec = &deployment.spec;
        let wanted = spec.replicas.unwrap_or(1).max(0);
        let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
        let surge = part(rolling.max_surge.as_ref(), wanted, true);
        let unavailable = part(rolling.max_unavailable.as_ref(), wanted, false);
        // With neither, nothing could ever move.
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Self { wanted, surge, unavailable: unavailable.min(wanted) }
    }
}

/// A number, or a percentage of `whole` rounded up or down; a quarter if nothing is said.
fn part(amount: Option<&IntOrString>, whole: i32, up: bool) -> i32 {
    let percent = match amount {
        Some(IntOrString::Int(number)) => return (*number).max(0),
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse().unwrap_or(25),
        None => 25,
    };
    let product = i64::from(whole) * i64::from(percent.max(0));
    i32::try_from(if up { (product + 99) / 100 } else { product / 100 }).unwrap_or(i32::MAX)
}

fn scale(set: &ReplicaSet, replicas: i32) -> Action {
    Action::Scale { name: set.name_any(), replicas }
}

fn size(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

fn present(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

fn set_of(deployment: &Deployment, hash: &str, replicas: i32) -> ReplicaSet {
    let spec = deployment.spec.clone();
    let mut template = spec.template;
    let with_hash = |labels: Option<BTreeMap<String, String>>| {
        let mut labels = labels.unwrap_or_default();
        labels.insert(HASH_LABEL.to_owned(), hash.to_owned());
        Some(labels)
    };
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels = with_hash(metadata.labels.take());
    let labels = metadata.labels.clone();
    let mut selector = spec.selector;
    selector.match_labels = with_hash(selector.match_labels.take());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name_any())),
            namespace: deployment.namespace(),
            labels,
            owner_references: Some(deployment.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(replicas),
            selector,
            template: Some(template),
            min_ready_seconds: spec.min_ready_seconds,
        },
        status: None,
    }
}

fn status(
    deployment: &Deployment,
    sets: &[ReplicaSet],
    new: Option<&ReplicaSet>,
    bounds: &Bounds,
    now: Timestamp,
) -> DeploymentStatus {
    let sum = |of: &dyn Fn(&ReplicaSet) -> i32| sets.iter().map(of).sum::<i32>();
    let ready = |set: &ReplicaSet| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let (all, up, updated) = (sum(&present), sum(&available), new.map_or(0, present));
    let complete = updated == bounds.wanted && all == updated && up >= bounds.wanted;
    let enough = up >= bounds.wanted - bounds.unavailable;
    let before = deployment.status.clone().unwrap_or_default();
    let condition = |type_: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let same = before
            .conditions
            .iter()
            .flatten()
            .find(|old| old.type_.as_deref() == Some(type_) && old.status.as_deref() == Some(status));
        let changed = same.and_then(|old| old.last_transition_time.clone()).unwrap_or(Time(now));
        let updated = same.filter(|old| old.reason.as_deref() == Some(reason));
        DeploymentCondition {
            type_: Some(type_.to_owned()),
            status: Some(status.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_transition_time: Some(changed),
            last_update_time: Some(updated.and_then(|old| old.last_update_time.clone()).unwrap_or(Time(now))),
        }
    };
    let availability = if enough {
        condition("Available", true, "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        condition("Available", false, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let progress = if complete {
        condition("Progressing", true, "NewReplicaSetAvailable", "the ReplicaSet has successfully progressed.")
    } else {
        condition("Progressing", true, "ReplicaSetUpdated", "the ReplicaSet is progressing.")
    };
    let some = |number: i32| Some(number).filter(|number| *number != 0);
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(all),
        updated_replicas: some(updated),
        ready_replicas: some(sum(&ready)),
        available_replicas: some(up),
        unavailable_replicas: some((bounds.wanted.max(all) - up).max(0)),
        conditions: Some(vec![availability, progress]),
        ..DeploymentStatus::default()
    }
}
