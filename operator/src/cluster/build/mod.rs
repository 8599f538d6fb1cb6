//! The objects of a valid cluster, one file each. Pure: the same cluster gives the same objects, byte for byte.

mod config_map;
mod controller_token;
mod disruption_budget;
mod external;
mod network_policy;
mod pod;
pub(super) mod properties;
mod service_account;
mod services;
mod stateful_set;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::validate::ValidCluster;
use crate::child::Child;

pub use controller_token::controller_token;
pub use properties::TOKEN_FILE;

/// The container that runs the broker.
pub const CONTAINER: &str = "broker";
/// The port of the CONTROLLER listener.
pub const CONTROLLER_PORT: i32 = 9093;
/// The port of metrics and probes.
pub const HTTP_PORT: i32 = 9404;

const CONTROLLER_PORT_NAME: &str = "controller";
const HTTP_PORT_NAME: &str = "http";

/// Every child of `cluster` but the token, which is made once, in the order to apply them: what pods need comes before
/// the StatefulSet.
///
/// # Errors
/// Fails if an object cannot be written as JSON.
pub fn children(cluster: &ValidCluster, cluster_id: &str) -> Result<Vec<Child>, serde_json::Error> {
    let inside = [
        Child::new(&service_account::build(cluster))?,
        Child::new(&config_map::build(cluster, cluster_id))?,
        Child::new(&services::headless(cluster))?,
        Child::new(&services::bootstrap(cluster))?,
        Child::new(&network_policy::build(cluster))?,
        Child::new(&disruption_budget::build(cluster))?,
        Child::new(&stateful_set::build(cluster, cluster_id)?)?,
    ];
    let outside = external::services(cluster).iter().map(Child::new).collect::<Result<Vec<_>, _>>()?;
    Ok(inside.into_iter().chain(outside).collect())
}

/// The fingerprint of all that a broker reads at its start: pods made from another one need a restart.
///
/// # Errors
/// Fails if an object cannot be written as JSON.
pub fn template(cluster: &ValidCluster, cluster_id: &str) -> Result<String, serde_json::Error> {
    stateful_set::template_fingerprint(cluster, cluster_id)
}

/// Name, namespace, labels and owner of a child.
fn metadata(cluster: &ValidCluster, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.names.namespace.clone()),
        labels: Some(cluster.names.labels()),
        owner_references: Some(vec![cluster.owner.clone()]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
