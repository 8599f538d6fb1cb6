//! Which columns each built-in kind has, and who fills them.

use serde_json::Value;

use super::{age, cluster, pods, workloads};
use crate::object;
use crate::resources::Resource;

/// The columns of a kind: name, and whether it is shown only with `-o wide`.
pub(super) fn columns(resource: &Resource) -> Vec<(&'static str, bool)> {
    let (narrow, wide): (&[&'static str], &[&'static str]) = match &*resource.storage {
        "pods" => {
            (&["Name", "Ready", "Status", "Restarts", "Age"], &["IP", "Node", "Nominated Node", "Readiness Gates"])
        }
        "deployments.apps" => {
            (&["Name", "Ready", "Up-to-date", "Available", "Age"], &["Containers", "Images", "Selector"])
        }
        "replicasets.apps" => (&["Name", "Desired", "Current", "Ready", "Age"], &["Containers", "Images", "Selector"]),
        "statefulsets.apps" => (&["Name", "Ready", "Age"], &["Containers", "Images"]),
        "services" => (&["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"], &["Selector"]),
        "configmaps" => (&["Name", "Data", "Age"], &[]),
        "secrets" => (&["Name", "Type", "Data", "Age"], &[]),
        "persistentvolumeclaims" => {
            (&["Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "Age"], &["VolumeMode"])
        }
        "persistentvolumes" => (
            &["Name", "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass", "Reason", "Age"],
            &["VolumeMode"],
        ),
        "events" => (
            &["Last Seen", "Type", "Reason", "Object", "Message"],
            &["Subobject", "Source", "First Seen", "Count", "Name"],
        ),
        "namespaces" => (&["Name", "Status", "Age"], &[]),
        "nodes" => (&["Name", "Status", "Roles", "Age", "Version"], &["Internal-IP", "OS-Image"]),
        "storageclasses.storage.k8s.io" => {
            (&["Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"], &[])
        }
        "poddisruptionbudgets.policy" => {
            (&["Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"], &[])
        }
        "networkpolicies.networking.k8s.io" => (&["Name", "Pod-Selector", "Age"], &[]),
        "endpointslices.discovery.k8s.io" => (&["Name", "AddressType", "Ports", "Endpoints", "Age"], &[]),
        "leases.coordination.k8s.io" => (&["Name", "Holder", "Age"], &[]),
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            (&["Name", "Role", "Age"], &[])
        }
        "roles.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io"
        | "customresourcedefinitions.apiextensions.k8s.io" => (&["Name", "Created At"], &[]),
        _ => (&["Name", "Age"], &[]),
    };
    narrow.iter().map(|name| (*name, false)).chain(wide.iter().map(|name| (*name, true))).collect()
}

/// One cell for each column.
pub(super) fn cells(resource: &Resource, object: &Value) -> Vec<Value> {
    let columns = columns(resource);
    let cell = |(column, _): &(&'static str, bool)| match *column {
        "Name" => object::name(object).to_owned(),
        "Age" => age::since(object::meta(object, "creationTimestamp")),
        "Created At" => object::meta(object, "creationTimestamp").to_owned(),
        column => match &*resource.storage {
            "pods" => pods::cell(object, column),
            "deployments.apps" => workloads::deployment_cell(object, column),
            "replicasets.apps" => workloads::replica_set_cell(object, column),
            "statefulsets.apps"
            | "services"
            | "endpointslices.discovery.k8s.io"
            | "poddisruptionbudgets.policy"
            | "networkpolicies.networking.k8s.io" => workloads::cell(object, column),
            _ => cluster::cell(object, column),
        },
    };
    columns.iter().map(cell).map(Value::from).collect()
}

/// The text at a path, or what kubectl prints for nothing.
pub(super) fn text(object: &Value, path: &[&str]) -> String {
    match object::at(object, path) {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        _ => "<none>".to_owned(),
    }
}

/// `a=b,c=d`, or `<none>`.
pub(super) fn pairs(object: &Value, path: &[&str]) -> String {
    let fields = object::at(object, path).and_then(Value::as_object).into_iter().flatten();
    joined(fields.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))))
}

/// A comma-separated list, or `<none>`.
pub(super) fn joined(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "<none>".to_owned() } else { parts.join(",") }
}
