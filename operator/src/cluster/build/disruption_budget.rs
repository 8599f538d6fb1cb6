//! The PodDisruptionBudget: nodes are emptied one broker at a time, and none while the cluster could not bear it.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::metadata;
use crate::cluster::validate::ValidCluster;

pub(super) fn build(cluster: &ValidCluster) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(cluster, cluster.names.brokers()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(i32::from(cluster.bears_disruption))),
            selector: Some(LabelSelector { match_labels: Some(cluster.names.selector()), ..LabelSelector::default() }),
            // A broker that does not serve anyway must not keep its node from being emptied.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
