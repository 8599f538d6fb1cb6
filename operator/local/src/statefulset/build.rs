//! The pod and the claims of one ordinal, from the set's templates. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};

/// The label with a pod's own name, so that a Service can select one pod.
pub const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// The label with a pod's ordinal.
pub const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// The label with the revision of the template a pod was made from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// `<set>-<ordinal>`.
pub fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set.name_any())
}

/// The ordinal of a pod called `name`, if that is a name of `set`'s pods.
pub fn ordinal(set: &StatefulSet, name: &str) -> Option<i32> {
    let digits = name.strip_prefix(&set.name_any())?.strip_prefix('-')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    digits.parse().ok().filter(|ordinal: &i32| *ordinal >= 0 && canonical)
}

/// The pod of `ordinal`.
pub fn pod(set: &StatefulSet, ordinal: i32, revision: &str) -> Pod {
    let template = &set.spec.template;
    let name = pod_name(set, ordinal);
    let template_metadata = template.metadata.clone().unwrap_or_default();
    let mut labels = template_metadata.labels.unwrap_or_default();
    labels.insert(POD_NAME_LABEL.to_owned(), name.clone());
    labels.insert(POD_INDEX_LABEL.to_owned(), ordinal.to_string());
    labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
    let mut spec = template.spec.clone().unwrap_or_default();
    spec.hostname = Some(name.clone());
    spec.subdomain = set.spec.service_name.clone();
    let mut volumes = spec.volumes.take().unwrap_or_default();
    for template in claim_templates(set) {
        // A claim of the set takes the place of a volume of that name in the template.
        volumes.retain(|volume| volume.name != template.name_any());
        let claim_name = claim_name(set, template, ordinal);
        volumes.push(Volume {
            name: template.name_any(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
            ..Volume::default()
        });
    }
    spec.volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
    Pod {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: set.namespace(),
            labels: Some(labels),
            annotations: template_metadata.annotations,
            finalizers: template_metadata.finalizers,
            owner_references: Some(set.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// Whether `pod` is one that a set of this name and selector made before and nobody controls now, so that `set` takes it
/// over.
pub fn is_adoptable(set: &StatefulSet, pod: &Pod) -> bool {
    let labels = set.spec.selector.match_labels.iter().flatten();
    let is_selected = labels.into_iter().all(|(key, value)| pod.labels().get(key) == Some(value));
    let is_controlled = pod.owner_references().iter().any(|owner| owner.controller == Some(true));
    let is_ending = pod.metadata.deletion_timestamp.is_some() || set.metadata.deletion_timestamp.is_some();
    ordinal(set, &pod.name_any()).is_some() && is_selected && !is_controlled && !is_ending
}

/// The claims of `ordinal`.
pub fn claims(set: &StatefulSet, ordinal: i32) -> impl Iterator<Item = PersistentVolumeClaim> {
    claim_templates(set).iter().map(move |template| {
        let mut claim = template.clone();
        let mut labels: BTreeMap<_, _> = claim.metadata.labels.take().unwrap_or_default();
        labels.extend(set.spec.selector.match_labels.clone().unwrap_or_default());
        claim.metadata.name = Some(claim_name(set, template, ordinal));
        claim.metadata.namespace = set.namespace();
        claim.metadata.labels = Some(labels);
        claim.status = None;
        claim
    })
}

/// Whether `name` is that of a claim of `set`, and of which ordinal.
pub fn claim_ordinal(set: &StatefulSet, name: &str) -> Option<i32> {
    claim_templates(set).iter().find_map(|template| {
        let pod = name.strip_prefix(&template.name_any())?.strip_prefix('-')?;
        ordinal(set, pod)
    })
}

fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    format!("{}-{}", template.name_any(), pod_name(set, ordinal))
}

fn claim_templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    set.spec.volume_claim_templates.as_deref().unwrap_or_default()
}
