//! The cells of configuration, storage, events and nodes.

use serde_json::Value;

use super::age;
use super::builtin::{joined, text};
use crate::object;

pub(super) fn cell(object: &Value, column: &str) -> String {
    match column {
        "Data" => {
            let count = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
            (count("data") + count("binaryData")).to_string()
        }
        "Type" => text(object, &["type"]),
        "Status" if object["kind"] == "Node" => node_status(object),
        "Status" if object::is_terminating(object) => "Terminating".to_owned(),
        "Status" => text(object, &["status", "phase"]),
        "Volume" => blank(text(object, &["spec", "volumeName"])),
        "Capacity" if object["kind"] == "PersistentVolume" => blank(text(object, &["spec", "capacity", "storage"])),
        "Capacity" => blank(text(object, &["status", "capacity", "storage"])),
        "Access Modes" => blank(joined(
            object::list_at(object, &["spec", "accessModes"]).iter().map(|mode| access_mode(mode).to_owned()),
        )),
        "StorageClass" => blank(text(object, &["spec", "storageClassName"])),
        "VolumeMode" => text(object, &["spec", "volumeMode"]),
        "Reclaim Policy" => text(object, &["spec", "persistentVolumeReclaimPolicy"]),
        "Claim" => match object::at(object, &["spec", "claimRef"]) {
            Some(claim) => format!("{}/{}", text(claim, &["namespace"]), text(claim, &["name"])),
            None => String::new(),
        },
        "Holder" => text(object, &["spec", "holderIdentity"]),
        "Role" => format!("{}/{}", text(object, &["roleRef", "kind"]), text(object, &["roleRef", "name"])),
        "Provisioner" => text(object, &["provisioner"]),
        "ReclaimPolicy" => text(object, &["reclaimPolicy"]),
        "VolumeBindingMode" => text(object, &["volumeBindingMode"]),
        "AllowVolumeExpansion" => (object["allowVolumeExpansion"] == true).to_string(),
        "Version" => text(object, &["status", "nodeInfo", "kubeletVersion"]),
        "OS-Image" => text(object, &["status", "nodeInfo", "osImage"]),
        "Internal-IP" => {
            let addresses = object::list_at(object, &["status", "addresses"]).iter();
            joined(addresses.filter(|a| a["type"] == "InternalIP").map(|a| text(a, &["address"])))
        }
        column if matches!(object["kind"].as_str(), Some("Event")) => event(object, column),
        _ => "<none>".to_owned(),
    }
}

fn blank(cell: String) -> String {
    if cell == "<none>" { String::new() } else { cell }
}

fn access_mode(mode: &Value) -> &str {
    match mode.as_str().unwrap_or("") {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    }
}

fn node_status(node: &Value) -> String {
    let ready = object::list_at(node, &["status", "conditions"]).iter().find(|c| c["type"] == "Ready");
    let word = match ready.and_then(|c| c["status"].as_str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if node["spec"]["unschedulable"] == true { format!("{word},SchedulingDisabled") } else { word.to_owned() }
}

fn event(event: &Value, column: &str) -> String {
    // Events are written by two generations of clients, under both groups.
    let first = |paths: &[&[&str]]| paths.iter().map(|path| text(event, path)).find(|cell| cell != "<none>");
    let since = |paths: &[&[&str]]| first(paths).map_or_else(|| "<unknown>".to_owned(), |time| age::since(&time));
    let about =
        |field: &str| text(event, &["involvedObject", field]).replace("<none>", &text(event, &["regarding", field]));
    match column {
        "Last Seen" => since(&[
            &["series", "lastObservedTime"],
            &["lastTimestamp"],
            &["deprecatedLastTimestamp"],
            &["eventTime"],
            &["metadata", "creationTimestamp"],
        ]),
        "First Seen" => since(&[&["firstTimestamp"], &["deprecatedFirstTimestamp"], &["eventTime"]]),
        "Reason" => text(event, &["reason"]),
        "Object" => format!("{}/{}", about("kind").to_lowercase(), about("name")),
        "Subobject" => blank(about("fieldPath")),
        "Message" => first(&[&["message"], &["note"]]).unwrap_or_default().trim().to_owned(),
        "Source" => {
            first(&[&["source", "component"], &["reportingComponent"], &["reportingController"]]).unwrap_or_default()
        }
        "Count" => first(&[&["series", "count"], &["count"], &["deprecatedCount"]]).unwrap_or_else(|| "1".to_owned()),
        _ => String::new(),
    }
}
