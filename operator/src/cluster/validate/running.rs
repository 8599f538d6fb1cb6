//! What of a running cluster cannot change, and whose objects these are.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use ottla_crds::cluster::Volume;
use serde_json::Value;

use super::super::observe::Observed;
use crate::{child::is_owned_by, error::Refusal, quantity};

/// Refuses what would have to change disks that exist, or objects that belong to somebody else.
pub(super) fn unchanged(observed: &Observed) -> Result<(), Refusal> {
    let foreign = observed.children.iter().find(|(_, _, body)| !is_owned_by(body, &observed.uid));
    if let Some((kind, name, body)) = foreign {
        return Err(name_conflict(observed, kind, name, body));
    }
    let Some(stateful_set) = observed.stateful_set() else {
        return Ok(());
    };
    let claims = stateful_set.spec.volume_claim_templates.unwrap_or_default();
    let volumes = &observed.spec().storage.volumes;
    let names = |claims: &[PersistentVolumeClaim]| -> Vec<String> {
        claims.iter().filter_map(|claim| claim.metadata.name.clone()).collect()
    };
    let running = names(&claims);
    let wanted: Vec<&String> = volumes.iter().take(running.len()).map(|volume| &volume.name).collect();
    if !running.iter().eq(wanted) {
        let message = format!(
            "volumes that brokers use keep their names and their order, since the first one holds the metadata and what lies \
             on a removed one would be lost: let {} come first, in this order, and others behind",
            running.join(", ")
        );
        return Err(Refusal::invalid_spec(message));
    }
    claims
        .iter()
        .filter_map(|claim| Some((claim, volumes.iter().find(|v| Some(&v.name) == claim.metadata.name.as_ref())?)))
        .try_for_each(|(claim, volume)| same_volume(claim, volume))
}

fn same_volume(claim: &PersistentVolumeClaim, volume: &Volume) -> Result<(), Refusal> {
    let spec = claim.spec.clone().unwrap_or_default();
    let size = spec.resources.and_then(|resources| resources.requests?.get("storage").map(|size| size.0.clone()));
    let size = size.unwrap_or_default();
    if quantity::milli(&size) > quantity::milli(&volume.size) {
        let message = format!(
            "volume {0} is {size} and disks cannot shrink: set its size back to {size}. To use smaller ones, found another \
             cluster and move the topics there",
            volume.name
        );
        return Err(Refusal::invalid_spec(message));
    }
    if volume.storage_class_name != spec.storage_class_name {
        let class = spec.storage_class_name.unwrap_or_else(|| "the default one".to_owned());
        let message = format!("the storage class of volume {} cannot change: set it back to {class}", volume.name);
        return Err(Refusal::invalid_spec(message));
    }
    Ok(())
}

/// An object that bears one of our names and is not ours. What an earlier cluster of this name left goes by itself.
fn name_conflict(observed: &Observed, kind: &str, name: &str, body: &Value) -> Refusal {
    let owners = body["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_predecessor = |owner: &Value| owner["kind"] == "KafkaCluster" && owner["name"] == *observed.names.cluster;
    if owners.iter().any(is_predecessor) {
        let message = format!("waiting until {kind} {name} of the deleted cluster of this name is gone");
        return Refusal::new(WAITING, message);
    }
    let message =
        format!("{kind} {name} exists and belongs to somebody else: delete it, or name the cluster otherwise");
    Refusal::new("NameConflict", message)
}

/// The reason of the one refusal that goes by itself.
pub const WAITING: &str = "WaitingForDeletion";
