//! The cells of deployments, stateful sets, services and what belongs to them.

use serde_json::Value;

use super::builtin::{joined, pairs, text};
use crate::object;

fn number(object: &Value, path: &[&str]) -> i64 {
    object::at(object, path).and_then(Value::as_i64).unwrap_or(0)
}

pub(super) fn deployment_cell(object: &Value, column: &str) -> String {
    match column {
        "Up-to-date" => number(object, &["status", "updatedReplicas"]).to_string(),
        "Available" => number(object, &["status", "availableReplicas"]).to_string(),
        "Selector" => pairs(object, &["spec", "selector", "matchLabels"]),
        _ => cell(object, column),
    }
}

pub(super) fn replica_set_cell(object: &Value, column: &str) -> String {
    match column {
        "Desired" => number(object, &["spec", "replicas"]).to_string(),
        "Current" => number(object, &["status", "replicas"]).to_string(),
        "Ready" => number(object, &["status", "readyReplicas"]).to_string(),
        _ => deployment_cell(object, column),
    }
}

pub(super) fn cell(object: &Value, column: &str) -> String {
    let containers = || object::list_at(object, &["spec", "template", "spec", "containers"]).iter();
    match column {
        "Ready" => {
            let (ready, wanted) = (&["status", "readyReplicas"], &["spec", "replicas"]);
            format!("{}/{}", number(object, ready), number(object, wanted))
        }
        "Containers" => joined(containers().map(|c| c["name"].as_str().unwrap_or("").to_owned())),
        "Images" => joined(containers().map(|c| c["image"].as_str().unwrap_or("").to_owned())),
        "Type" => text(object, &["spec", "type"]),
        "Cluster-IP" => text(object, &["spec", "clusterIP"]),
        "External-IP" => {
            let ingress = object::list_at(object, &["status", "loadBalancer", "ingress"]).iter();
            joined(ingress.filter_map(|i| i["ip"].as_str().or(i["hostname"].as_str())).map(str::to_owned))
        }
        "Port(s)" => joined(object::list_at(object, &["spec", "ports"]).iter().map(service_port)),
        "Selector" => pairs(object, &["spec", "selector"]),
        "Pod-Selector" => pairs(object, &["spec", "podSelector", "matchLabels"]),
        "AddressType" => text(object, &["addressType"]),
        "Ports" => joined(object::list_at(object, &["ports"]).iter().map(|port| port["port"].to_string())),
        "Endpoints" => joined(
            object::list_at(object, &["endpoints"])
                .iter()
                .flat_map(|endpoint| object::list_at(endpoint, &["addresses"]))
                .filter_map(Value::as_str)
                .map(str::to_owned),
        ),
        "Min Available" => or_not_applicable(text(object, &["spec", "minAvailable"])),
        "Max Unavailable" => or_not_applicable(text(object, &["spec", "maxUnavailable"])),
        "Allowed Disruptions" => text(object, &["status", "disruptionsAllowed"]),
        _ => "<none>".to_owned(),
    }
}

fn service_port(port: &Value) -> String {
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    match port["nodePort"].as_u64().filter(|port| *port > 0) {
        Some(node_port) => format!("{}:{node_port}/{protocol}", port["port"]),
        None => format!("{}/{protocol}", port["port"]),
    }
}

fn or_not_applicable(cell: String) -> String {
    if cell == "<none>" { "N/A".to_owned() } else { cell }
}
