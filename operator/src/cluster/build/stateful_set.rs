//! The StatefulSet of the brokers.
//!
//! `Parallel`, because ordinal order keeps a broken template stuck for ever; `OnDelete`, because only the operator knows
//! when a broker may go.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{
            StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
        },
        core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, VolumeResourceRequirements},
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
    },
};
use ottla_crds::cluster::{RetainClaims, Volume};
use serde_json::json;

use super::{metadata, pod, properties};
use crate::{
    cluster::validate::ValidCluster,
    fingerprint::fingerprint,
    names::{CLUSTER_ID, TEMPLATE},
};

pub(super) fn build(cluster: &ValidCluster, cluster_id: &str) -> Result<StatefulSet, serde_json::Error> {
    Ok(StatefulSet {
        metadata: metadata(cluster, cluster.names.brokers()),
        spec: StatefulSetSpec {
            replicas: Some(cluster.brokers),
            service_name: Some(cluster.names.headless_service()),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                ..StatefulSetUpdateStrategy::default()
            }),
            selector: LabelSelector { match_labels: Some(cluster.names.selector()), ..LabelSelector::default() },
            template: template(cluster, cluster_id)?,
            volume_claim_templates: Some(
                cluster.volumes.iter().map(|volume| claim(cluster, cluster_id, volume)).collect(),
            ),
            persistent_volume_claim_retention_policy: Some(retention(cluster.retain)),
            ..StatefulSetSpec::default()
        },
        ..StatefulSet::default()
    })
}

/// The fingerprint of the pod template, and of what brokers read at their start.
pub(super) fn template_fingerprint(cluster: &ValidCluster, cluster_id: &str) -> Result<String, serde_json::Error> {
    // The files of different brokers differ only by what follows from the ordinal, so the first one stands for all.
    let at_start = properties::at_start(cluster, cluster_id, 0);
    fingerprint(&json!({
        "pod": pod::spec(cluster),
        "labels": cluster.pod.labels,
        "annotations": cluster.pod.annotations,
        "properties": at_start,
    }))
}

fn template(cluster: &ValidCluster, cluster_id: &str) -> Result<PodTemplateSpec, serde_json::Error> {
    let mut labels = cluster.pod.labels.clone();
    labels.extend(cluster.names.labels());
    let mut annotations = cluster.pod.annotations.clone();
    annotations.insert(TEMPLATE.to_owned(), template_fingerprint(cluster, cluster_id)?);
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }),
        spec: Some(pod::spec(cluster)),
    })
}

/// A claim says which cluster its data belongs to, so that a cluster made anew under its name takes the id from it.
fn claim(cluster: &ValidCluster, cluster_id: &str, volume: &Volume) -> PersistentVolumeClaim {
    let size: BTreeMap<_, _> = [("storage".to_owned(), Quantity(volume.size.clone()))].into();
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(volume.name.clone()),
            labels: Some(cluster.names.selector()),
            annotations: Some([(CLUSTER_ID.to_owned(), cluster_id.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: volume.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements { requests: Some(size), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

fn retention(retain: RetainClaims) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let (when_deleted, when_scaled) = match retain {
        RetainClaims::Always => ("Retain", "Retain"),
        RetainClaims::WhenDeleted => ("Retain", "Delete"),
        RetainClaims::WhenScaled => ("Delete", "Retain"),
        RetainClaims::Never => ("Delete", "Delete"),
    };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(when_deleted.to_owned()),
        when_scaled: Some(when_scaled.to_owned()),
    }
}
