//! What to do next for a StatefulSet, and its status, from what there is. Pure.
//!
//! Pods are compared by ordinal only: what is missing is made, what is over or too much is deleted, and the world is looked at again.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Resource as _, ResourceExt as _};

use super::build::{self, REVISION_LABEL};
use crate::pod_state::{is_ending, is_over, is_ready, ready_since};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make this claim.
    CreateClaim(Box<PersistentVolumeClaim>),
    /// Make this pod.
    CreatePod(Box<Pod>),
    /// Delete this pod.
    DeletePod {
        /// Its name.
        name: String,
        /// Its uid, so that its successor is left alone.
        uid: String,
    },
    /// Make these the claim's owners, which decide whether it goes with its pod or with the set.
    OwnClaim {
        /// Its name.
        name: String,
        /// All of its owners.
        owners: Vec<OwnerReference>,
    },
}

/// What there is to do and to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// The status as the world is now.
    pub status: StatefulSetStatus,
    /// When a ready pod becomes available, if that is what the status waits for.
    pub next_available: Option<Timestamp>,
}

/// The pods of a set, by ordinal, and what the set wants.
struct World<'a> {
    set: &'a StatefulSet,
    pods: BTreeMap<i32, &'a Pod>,
    claims: &'a [PersistentVolumeClaim],
    wanted: std::ops::Range<i32>,
    revision: String,
}

/// Plans for `set`, given the `pods` it controls and the `claims` of its namespace, at `now`.
pub fn plan(set: &StatefulSet, pods: &[Pod], claims: &[PersistentVolumeClaim], now: Timestamp) -> Plan {
    let by_ordinal = pods.iter().filter_map(|pod| Some((build::ordinal(set, &pod.name_any())?, pod)));
    let start = set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
    let world = World {
        set,
        pods: by_ordinal.collect(),
        claims,
        wanted: start..start + set.spec.replicas.unwrap_or(1).max(0),
        revision: super::revision::revision(set),
    };
    let (status, next_available) = world.status(now);
    let actions = if set.metadata.deletion_timestamp.is_some() { Vec::new() } else { world.actions() };
    Plan { actions, status, next_available }
}

impl World<'_> {
    fn actions(&self) -> Vec<Action> {
        let mut actions: Vec<_> = self.claims.iter().filter_map(|claim| self.own_claim(claim)).collect();
        let ordered = self.set.spec.pod_management_policy.as_deref() != Some("Parallel");
        let begun = actions.len();
        for ordinal in self.wanted.clone() {
            self.settle(ordinal, &mut actions);
            let settled = self.pods.get(&ordinal).is_some_and(|pod| is_ready(pod) && !is_ending(pod));
            if ordered && !settled {
                return actions;
            }
        }
        for (ordinal, pod) in self.pods.iter().rev().filter(|(ordinal, _)| !self.wanted.contains(ordinal)) {
            debug_assert!(
                build::ordinal(self.set, &pod.name_any()) == Some(*ordinal),
                "pods are kept by their ordinals"
            );
            if !is_ending(pod) {
                actions.push(delete(pod));
            }
            if ordered {
                return actions;
            }
        }
        if actions.len() == begun {
            actions.extend(self.next_update());
        }
        actions
    }

    /// Makes the pod of `ordinal` with its claims, or deletes one that is over so that it can be made again.
    fn settle(&self, ordinal: i32, actions: &mut Vec<Action>) {
        match self.pods.get(&ordinal) {
            Some(pod) if is_over(pod) && !is_ending(pod) => actions.push(delete(pod)),
            Some(_) => {}
            None => {
                let mut claims_are_going = false;
                for mut claim in build::claims(self.set, ordinal) {
                    match self.claims.iter().find(|present| present.name_any() == claim.name_any()) {
                        // Its disk would vanish under the new pod: wait until it is gone and make another.
                        Some(present) if present.metadata.deletion_timestamp.is_some() => claims_are_going = true,
                        Some(_) => {}
                        None => {
                            claim.metadata.owner_references =
                                Some(self.owners_of_claim(ordinal)).filter(|o| !o.is_empty());
                            actions.push(Action::CreateClaim(Box::new(claim)));
                        }
                    }
                }
                if !claims_are_going {
                    actions.push(Action::CreatePod(Box::new(build::pod(self.set, ordinal, &self.revision))));
                }
            }
        }
    }

    /// RollingUpdate: the highest pod of another revision, if all above it are ready.
    fn next_update(&self) -> Option<Action> {
        let strategy = self.set.spec.update_strategy.as_ref();
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
            return None;
        }
        let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or(0);
        for ordinal in self.wanted.clone().rev().filter(|ordinal| *ordinal >= partition) {
            let pod = self.pods.get(&ordinal).filter(|pod| !is_ending(pod))?;
            if pod.labels().get(REVISION_LABEL) != Some(&self.revision) {
                return Some(delete(pod));
            }
            if !is_ready(pod) {
                return None;
            }
        }
        None
    }

    /// The owner references a claim of `ordinal` should have, by the set's retention policy.
    fn owners_of_claim(&self, ordinal: i32) -> Vec<OwnerReference> {
        let policy = self.set.spec.persistent_volume_claim_retention_policy.as_ref();
        let deletes = |when: Option<&String>| when.is_some_and(|what| what == "Delete");
        let with_set = deletes(policy.and_then(|policy| policy.when_deleted.as_ref()));
        let with_pod = deletes(policy.and_then(|policy| policy.when_scaled.as_ref()));
        let condemned = self.pods.get(&ordinal).filter(|_| with_pod && !self.wanted.contains(&ordinal));
        match condemned {
            Some(pod) => pod.owner_ref(&()).into_iter().collect(),
            None if with_set => self.set.owner_ref(&()).into_iter().collect(),
            None => Vec::new(),
        }
    }

    fn own_claim(&self, claim: &PersistentVolumeClaim) -> Option<Action> {
        let ordinal = build::claim_ordinal(self.set, &claim.name_any())?;
        // A claim left by a scale-down that deletes it, whose pod is gone already, is on its way out.
        let known = self.wanted.contains(&ordinal) || self.pods.contains_key(&ordinal);
        if !known || claim.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let ours = |owner: &OwnerReference| {
            Some(&owner.uid) == self.set.metadata.uid.as_ref()
                || (owner.kind == "Pod" && owner.name == build::pod_name(self.set, ordinal))
        };
        let mut owners: Vec<_> = claim.owner_references().iter().filter(|owner| !ours(owner)).cloned().collect();
        owners.extend(self.owners_of_claim(ordinal));
        let same = |a: &[OwnerReference], b: &[OwnerReference]| {
            a.len() == b.len() && a.iter().all(|one| b.iter().any(|other| other.uid == one.uid))
        };
        (!same(&owners, claim.owner_references())).then(|| Action::OwnClaim { name: claim.name_any(), owners })
    }

    fn status(&self, now: Timestamp) -> (StatefulSetStatus, Option<Timestamp>) {
        let before = self.set.status.clone().unwrap_or_default();
        let min_ready = SignedDuration::from_secs(self.set.spec.min_ready_seconds.unwrap_or(0).into());
        let present: Vec<_> = self.pods.values().filter(|pod| !is_over(pod)).collect();
        let count = |matches: &dyn Fn(&Pod) -> bool| {
            i32::try_from(present.iter().filter(|pod| matches(pod)).count()).unwrap_or(i32::MAX)
        };
        let of_revision =
            |pod: &Pod, revision: &str| pod.labels().get(REVISION_LABEL).is_some_and(|label| label == revision);
        let available_at = |pod: &Pod| ready_since(pod).map(|since| since + min_ready);
        let updated = count(&|pod| of_revision(pod, &self.revision));
        let replicas = count(&|_| true);
        // As Kubernetes: with OnDelete the current revision stays what it was when the set was made.
        let rolls =
            self.set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
        let complete = rolls && updated == replicas && count(&is_ready) == replicas;
        let current = before.current_revision.filter(|_| !complete).unwrap_or_else(|| self.revision.clone());
        let status = StatefulSetStatus {
            observed_generation: self.set.metadata.generation,
            replicas,
            ready_replicas: Some(count(&is_ready)),
            available_replicas: Some(count(&|pod| available_at(pod).is_some_and(|at| at <= now))),
            current_replicas: Some(count(&|pod| of_revision(pod, &current))),
            updated_replicas: Some(updated),
            current_revision: Some(current),
            update_revision: Some(self.revision.clone()),
            collision_count: Some(0),
            conditions: before.conditions,
        };
        let next = present.iter().filter_map(|pod| available_at(pod)).filter(|at| *at > now).min();
        (status, next)
    }
}

fn delete(pod: &Pod) -> Action {
    Action::DeletePod { name: pod.name_any(), uid: pod.uid().unwrap_or_default() }
}
