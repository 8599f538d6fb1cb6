//! The downward API: what a container may ask about its own pod.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{ObjectFieldSelector, Pod};
use kube::ResourceExt;

use super::sources::Error;

/// The address under which a process pod reaches its node.
pub const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The value of a `fieldRef` for `pod` at `address`.
pub fn field(pod: &Pod, address: Ipv4Addr, selector: &ObjectFieldSelector) -> Result<String, Error> {
    let path = selector.field_path.as_str();
    let spec = pod.spec.as_ref();
    if let Some(value) = subscripted(path, "metadata.labels").map(|key| pod.labels().get(key)) {
        return Ok(value.cloned().unwrap_or_default());
    }
    if let Some(value) = subscripted(path, "metadata.annotations").map(|key| pod.annotations().get(key)) {
        return Ok(value.cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => listed(pod.labels()),
        "metadata.annotations" => listed(pod.annotations()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".to_owned())
        }
        "status.podIP" | "status.podIPs" => address.to_string(),
        "status.hostIP" | "status.hostIPs" => HOST_ADDRESS.to_string(),
        other => return Err(Error::Unsupported(format!("fieldRef {other:?}"))),
    })
}

/// `key` of `metadata.labels['key']`.
fn subscripted<'a>(path: &'a str, field: &str) -> Option<&'a str> {
    path.strip_prefix(field)?.strip_prefix("['")?.strip_suffix("']")
}

/// One `key="value"` a line, as a downward API file has it.
fn listed(map: &std::collections::BTreeMap<String, String>) -> String {
    map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}
