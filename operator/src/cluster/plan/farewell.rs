//! What is left to do for brokers whose pods are gone for good: their disks are retired, the cluster forgets them. A pod
//! that nobody is there to end is taken out of the books first.
//!
//! A claim that is kept is marked first with the disks that its broker had: should the broker come back on it, it is
//! told that they are retired, and begins with an empty disk. So an old disk is never served, whenever it comes back.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use ottla_core::ids::BrokerId;

use super::{
    super::{
        loss::{Loss, loss},
        observe::{Controller, Observed},
        pods, retired,
    },
    Request, Restart, Step, Why, restart,
};

/// The steps for every broker that is gone, at or above `size`, of which anything is left.
pub(super) fn steps(observed: &Observed, size: i32) -> Vec<Step> {
    let (Some(controller), true) = (observed.controller(), is_shrunk(observed, size)) else {
        return Vec::new();
    };
    let members = controller.quorum.observers.iter().map(|member| member.broker);
    let known: BTreeSet<BrokerId> =
        controller.brokers.iter().map(|broker| broker.id).chain(members).filter(|id| id.0 >= size).collect();
    let gone = known.into_iter().filter(|id| observed.pod_of(id.0).is_none() && observed.is_empty(*id));
    let farewells = gone.flat_map(|id| farewell(id, controller, observed));
    stuck(observed, size).into_iter().chain(farewells).collect()
}

/// Takes pods at or above `size` out of the books that are to end and whose nodes cannot say that they have. The
/// StatefulSet is as small already, so their brokers hold nothing and no pod comes back.
fn stuck(observed: &Observed, size: i32) -> Vec<Step> {
    let is_stuck = |pod: &&Pod| {
        let id = observed.names.broker_of(&pod.name_any()).filter(|id| *id >= size);
        let loss = id.filter(|_| pods::is_leaving(pod)).and_then(|id| loss(id, observed));
        loss.as_ref().is_some_and(Loss::leaves_pod_stuck)
    };
    let away = |pod: &Pod| {
        let (pod, uid) = (pod.name_any(), pod.uid()?);
        Some(Step::Restart(vec![Restart { pod, uid, serving: None, unavoidable: 0, why: Why::Farewell }]))
    };
    observed.pods.iter().filter(is_stuck).filter_map(away).collect()
}

/// Whether the StatefulSet is as small as it should be and its controller has seen that: no pod comes back by itself.
fn is_shrunk(observed: &Observed, size: i32) -> bool {
    let replicas = observed.stateful_set().and_then(|stateful_set| stateful_set.spec.replicas);
    replicas == Some(size) && restart::stateful_set_is_current(observed)
}

fn farewell(id: BrokerId, controller: &Controller, observed: &Observed) -> Vec<Step> {
    let registered = controller.brokers.iter().find(|broker| broker.id == id);
    if registered.is_some_and(|broker| !broker.fenced) {
        // Its pod is gone, and it still serves: wait until the cluster has noticed.
        return Vec::new();
    }
    let member = controller.quorum.observers.iter().find(|member| member.broker == id);
    let disks: BTreeSet<&str> = registered
        .iter()
        .flat_map(|broker| &broker.directories)
        .map(|directory| directory.id.as_str())
        .chain(member.map(|member| member.directory.as_str()))
        .collect();
    let marks =
        observed.claims.iter().filter(|claim| is_of(claim, id, observed)).filter_map(|claim| mark(claim, &disks));
    let retire =
        member.map(|member| Step::Ask(Request::RetireDisk { broker: id, directory: member.directory.clone() }));
    let unregister = registered.map(|broker| Step::Ask(Request::Unregister(broker.id)));
    marks.chain(retire).chain(unregister).collect()
}

fn is_of(claim: &PersistentVolumeClaim, id: BrokerId, observed: &Observed) -> bool {
    observed.names.broker_of_claim(&claim.name_any()) == Some(id.0) && claim.metadata.deletion_timestamp.is_none()
}

/// Marks a claim that does not say so yet.
fn mark(claim: &PersistentVolumeClaim, disks: &BTreeSet<&str>) -> Option<Step> {
    let marked: BTreeSet<&str> = retired::disks(claim).collect();
    if disks.is_subset(&marked) {
        return None;
    }
    let disks = marked.union(disks).map(|disk| (*disk).to_owned()).collect::<Vec<_>>().join(",");
    Some(Step::MarkClaim { claim: claim.name_any(), uid: claim.uid()?, disks })
}
