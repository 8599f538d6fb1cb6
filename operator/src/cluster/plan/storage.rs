//! Whether the brokers' disks have to grow, or others to be added.
//!
//! Claims that exist are made larger one by one; what new claims are made from stands in the StatefulSet and can never
//! change there, so the set is deleted without its pods and made anew, and takes them over. A claim that somebody made
//! larger by hand is left as it is: disks never shrink.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim};
use kube::ResourceExt;
use serde_json::Value;

use super::{
    super::{observe::Observed, validate::ValidCluster},
    Step,
};
use crate::{
    child::{Child, contains},
    quantity,
};

/// The claims that are smaller than the spec asks, to be made larger. One that is not bound yet gets its disk first.
pub(super) fn growing(cluster: &ValidCluster, observed: &Observed) -> Vec<Step> {
    let ids = observed.broker_ids();
    let wanted =
        ids.flat_map(|id| cluster.volumes.iter().map(move |volume| (cluster.names.claim(&volume.name, id), volume)));
    let grow = |(name, volume): (String, &ottla_crds::cluster::Volume)| {
        let claim = observed.claim(&name)?;
        let is_bound = claim.status.as_ref()?.phase.as_deref() == Some("Bound");
        let is_going = claim.metadata.deletion_timestamp.is_some();
        let asked = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?;
        let is_smaller = quantity::milli(&asked.0)? < quantity::milli(&volume.size)?;
        (is_bound && is_smaller && !is_going)
            .then(|| Some(Step::GrowClaim { name, uid: claim.uid()?, size: volume.size.clone() }))?
    };
    wanted.filter_map(grow).collect()
}

/// Whether `wanted`, a StatefulSet, differs from the `stored` one in what can never change: then that one has to go
/// first, or is on its way already.
pub(super) fn has_to_be_made_anew(wanted: &Child, stored: &Value) -> bool {
    if wanted.resource.kind != "StatefulSet" {
        return false;
    }
    let is_going = !stored["metadata"]["deletionTimestamp"].is_null();
    let claims = |set: &Value| set["spec"]["volumeClaimTemplates"].clone();
    is_going || !contains(&claims(stored), &claims(&wanted.body))
}

/// Deletes the StatefulSet and leaves its pods, once its claims would stay. With `whenDeleted: Delete` its controller makes
/// them belong to the set: one that has not heard yet that the set goes could do so after they were set free, and they would
/// be deleted with it.
pub(super) fn making_anew(observed: &Observed) -> Option<Step> {
    let set = observed.stateful_set()?;
    let (uid, version) = (set.uid()?, set.resource_version());
    let is_going = set.metadata.deletion_timestamp.is_some();
    let is_safe = is_going || keeps_claims(&set, &observed.claims);
    Some(if is_safe { Step::OrphanBrokers { uid, version } } else { Step::KeepClaims { uid } })
}

/// Whether no claim belongs to `set`, and its controller knows that none is to.
fn keeps_claims(set: &StatefulSet, claims: &[PersistentVolumeClaim]) -> bool {
    let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
    let deletes = policy.and_then(|policy| policy.when_deleted.as_deref()) == Some("Delete");
    let known = set.status.as_ref().and_then(|status| status.observed_generation);
    let is_ours = |claim: &PersistentVolumeClaim| {
        claim.owner_references().iter().any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref())
    };
    !deletes && known >= set.metadata.generation && !claims.iter().any(is_ours)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::{
        build,
        testing::{ID, claims, of_brokers, settled, valid},
    };

    const LARGER: &str = "{volumes: [{name: data, size: 2Gi}]}";

    fn grown() -> Observed {
        let mut observed = settled(&of_brokers(2));
        observed.claims = claims(2);
        observed.cluster.spec.storage = serde_yaml::from_str(LARGER).unwrap();
        observed
    }

    fn steps(observed: &Observed) -> Vec<(String, String)> {
        let told = |step: Step| match step {
            Step::GrowClaim { name, uid, size } => (format!("{name} {uid}"), size),
            other => panic!("{other:?}"),
        };
        growing(&valid(observed).unwrap(), observed).into_iter().map(told).collect()
    }

    #[test]
    fn claims_that_are_too_small_grow_and_others_are_left() {
        let mut observed = grown();
        let step = |id: i32| (format!("data-demo-broker-{id} claim-{id}"), "2Gi".to_owned());
        assert_eq!(steps(&observed), [step(0), step(1)]);
        let requests = |claim: &mut PersistentVolumeClaim, size: &str| {
            let resources = claim.spec.as_mut().unwrap().resources.as_mut().unwrap();
            resources.requests.as_mut().unwrap().get_mut("storage").unwrap().0 = size.to_owned();
        };
        requests(&mut observed.claims[0], "2048Mi");
        assert_eq!(steps(&observed), [step(1)], "the same in another spelling");
        requests(&mut observed.claims[1], "7Gi");
        assert_eq!(steps(&observed), [], "somebody made it larger by hand");
        requests(&mut observed.claims[1], "1Gi");
        observed.claims[1].status.as_mut().unwrap().phase = Some("Pending".to_owned());
        assert_eq!(steps(&observed), [], "it has no disk yet");
    }

    #[test]
    fn a_stateful_set_goes_only_once_no_claim_would_go_with_it() {
        let mut observed = grown();
        let set = serde_json::to_value(observed.stateful_set().unwrap()).unwrap();
        let mut next = |policy: &str, generation: i64, known: Option<i64>, owner: Option<&str>, is_going: bool| {
            let mut set = set.clone();
            set["metadata"]["uid"] = json!("set-1");
            set["metadata"]["resourceVersion"] = json!("7");
            set["metadata"]["generation"] = json!(generation);
            set["metadata"]["deletionTimestamp"] = is_going.then_some("2026-01-01T00:00:00Z").into();
            set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = json!(policy);
            set["status"] = json!({ "replicas": 2, "observedGeneration": known });
            observed.children.insert("StatefulSet", "demo-broker", set);
            let reference = |uid: &str| json!([{ "apiVersion": "v1", "kind": "Some", "name": "some", "uid": uid }]);
            let owners = owner.map(reference).unwrap_or(json!([]));
            observed.claims[1].metadata.owner_references = serde_json::from_value(owners).unwrap();
            making_anew(&observed).unwrap()
        };
        let uid = || "set-1".to_owned();
        let orphan = Step::OrphanBrokers { uid: uid(), version: Some("7".to_owned()) };
        let keep = Step::KeepClaims { uid: uid() };
        assert_eq!(next("Retain", 2, Some(2), None, false), orphan);
        assert_eq!(next("Delete", 2, Some(2), Some("set-1"), false), keep);
        assert_eq!(next("Delete", 2, Some(2), None, false), keep, "they would soon be its");
        assert_eq!(next("Retain", 3, Some(2), None, false), keep, "its controller knows only what it was told before");
        assert_eq!(next("Retain", 3, None, None, false), keep);
        assert_eq!(next("Retain", 3, Some(3), Some("set-1"), false), keep, "they are not set free yet");
        assert_eq!(next("Retain", 3, Some(3), Some("other"), false), orphan);
        assert_eq!(next("Delete", 3, Some(2), Some("set-1"), true), orphan, "it goes already");
    }

    #[test]
    fn a_stateful_set_is_made_anew_for_its_claims_alone() {
        let children = |observed: &Observed| build::children(&valid(observed).unwrap(), ID).unwrap();
        let stored = settled(&of_brokers(2)).children;
        for (spec, is_anew) in [
            (of_brokers(3), false),
            (format!("{}\nimage: other", of_brokers(2)), false),
            (of_brokers(2).replace("1Gi", "2Gi"), true),
            (of_brokers(2).replace("1Gi}", "1Gi}, {name: more, size: 1Gi}"), true),
        ] {
            let wanted = children(&crate::cluster::testing::observed(&spec));
            let anew: Vec<_> =
                wanted.iter().filter(|child| has_to_be_made_anew(child, stored.of(child).unwrap())).collect();
            assert_eq!(
                anew.iter().map(|child| child.resource.kind.as_str()).collect::<Vec<_>>(),
                if is_anew { vec!["StatefulSet"] } else { vec![] },
                "{spec}"
            );
        }
        let wanted = children(&settled(&of_brokers(2)));
        let set = wanted.iter().find(|child| child.resource.kind == "StatefulSet").unwrap();
        let mut going = set.body.clone();
        assert!(!has_to_be_made_anew(set, &going));
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(has_to_be_made_anew(set, &going), "what goes cannot be changed any more");
    }
}
