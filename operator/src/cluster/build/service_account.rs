//! The ServiceAccount of the brokers, which has no rights and whose token no pod gets.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::cluster::validate::ValidCluster;

pub(super) fn build(cluster: &ValidCluster) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(cluster, cluster.names.brokers()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
