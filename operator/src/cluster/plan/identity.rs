//! Which cluster this is: the id that its disks must bear.
//!
//! It is written on the KafkaCluster before the first pod. Where it is not (somebody removed it, or the KafkaCluster was
//! deleted and made anew over kept claims), what the earlier cluster left says it; only a cluster without any past gets
//! a fresh one.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use uuid::Uuid;

use super::super::observe::Observed;
use crate::{error::Refusal, identifier, names::CLUSTER_ID};

/// Where the id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// It stands on the KafkaCluster.
    Recorded(String),
    /// It has to be written there first.
    ToRecord(String),
}

/// The id of the cluster; `fresh` is taken if it has no past.
pub(super) fn identity(observed: &Observed, fresh: Uuid) -> Result<Identity, Refusal> {
    let on_claims: BTreeSet<&String> =
        observed.claims.iter().filter_map(|claim| claim.annotations().get(CLUSTER_ID)).collect();
    let recorded = observed
        .cluster
        .annotations()
        .get(CLUSTER_ID)
        .or_else(|| observed.cluster.status.as_ref().and_then(|status| status.cluster_id.as_ref()));
    let remembered = recorded.cloned().or_else(|| on_config(observed));
    let conflicting = on_claims.iter().find(|on_claim| remembered.as_ref().is_some_and(|id| id != **on_claim));
    if conflicting.is_some() || on_claims.len() > 1 {
        let ids: BTreeSet<&str> = on_claims.iter().map(|id| id.as_str()).chain(remembered.as_deref()).collect();
        let message = format!(
            "the brokers' claims hold data of different clusters ({}): delete the claims that are not wanted, or set \
             the annotation {CLUSTER_ID} to the id of those that are",
            ids.into_iter().collect::<Vec<_>>().join(", ")
        );
        return Err(Refusal::new("IdentityConflict", message));
    }
    if let Some(id) = observed.cluster.annotations().get(CLUSTER_ID) {
        return Ok(Identity::Recorded(id.clone()));
    }
    let found = remembered.or_else(|| on_claims.first().map(|id| (*id).clone()));
    Ok(Identity::ToRecord(found.unwrap_or_else(|| identifier::text(fresh))))
}

fn on_config(observed: &Observed) -> Option<String> {
    let config: ConfigMap = observed.children.typed(&observed.names.config())?;
    let files = config.data?;
    let lines = files.values().flat_map(|file| file.lines());
    lines.filter_map(|line| line.strip_prefix("cluster.id=")).next().map(str::to_owned)
}
