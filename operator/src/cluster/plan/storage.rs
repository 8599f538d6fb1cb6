//! Whether the brokers' disks have to grow, or others to be added.
//!
//! Claims that exist are made larger one by one; what new claims are made from stands in the StatefulSet and can never
//! change there, so the set is deleted without its pods and made anew, and takes them over. A claim that somebody made
//! larger by hand is left as it is: disks never shrink.

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
        let requests = |claim: &mut k8s_openapi::api::core::v1::PersistentVolumeClaim, size: &str| {
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
