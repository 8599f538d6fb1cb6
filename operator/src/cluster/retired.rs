//! The disks that a cluster has retired, as the claims that were kept of them are marked: read here, written by a farewell.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

use super::observe::Observed;
use crate::names::RETIRED;

/// The ids that a claim is marked with.
pub fn disks(claim: &PersistentVolumeClaim) -> impl Iterator<Item = &str> {
    let text = claim.annotations().get(RETIRED).map(String::as_str).unwrap_or_default();
    text.split(',').map(str::trim).filter(|disk| !disk.is_empty())
}

/// By broker, the retired disks that its claims are marked with.
pub fn by_broker(observed: &Observed) -> BTreeMap<i32, String> {
    let mut disks: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    for claim in &observed.claims {
        if let Some(broker) = observed.names.broker_of_claim(&claim.name_any()) {
            disks.entry(broker).or_default().extend(self::disks(claim));
        }
    }
    let text = |mut disks: Vec<&str>| {
        disks.sort_unstable();
        disks.dedup();
        disks.join(",")
    };
    disks.into_iter().filter(|(_, disks)| !disks.is_empty()).map(|(broker, disks)| (broker, text(disks))).collect()
}
