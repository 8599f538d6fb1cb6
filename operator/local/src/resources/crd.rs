//! What the server does to a CustomResourceDefinition before it is stored: fill in names, check, report conditions.

use serde_json::{Value, json};

use crate::errors::Cause;
use crate::object;
use crate::schema::{self, Path};

/// Keeps a deleted definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in what the names imply.
pub(crate) fn default(definition: &mut Value) {
    let Some(spec) = definition.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    let kind = spec["names"]["kind"].as_str().unwrap_or("").to_owned();
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
        names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
    if spec.get("conversion").is_none() {
        spec["conversion"] = json!({"strategy": "None"});
    }
}

/// Everything that is wrong with a definition.
pub(crate) fn validate(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let text = |path: &[&str]| object::str_at(definition, path);
    for path in [&["spec", "group"][..], &["spec", "names", "plural"], &["spec", "names", "kind"]] {
        if text(path).is_empty() {
            causes.push(Cause::required(path.join("."), ""));
        }
    }
    let expected = format!("{}.{}", text(&["spec", "names", "plural"]), text(&["spec", "group"]));
    if object::name(definition) != expected {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &format!("{:?}", object::name(definition)), why));
    }
    let scope = text(&["spec", "scope"]);
    if !matches!(scope, "Namespaced" | "Cluster") {
        let message = format!("Unsupported value: {scope:?}: supported values: \"Cluster\", \"Namespaced\"");
        causes.push(Cause::new("FieldValueNotSupported", "spec.scope", message));
    }
    versions(definition, &mut causes);
    causes
}

fn versions(definition: &Value, causes: &mut Vec<Cause>) {
    let versions = object::list_at(definition, &["spec", "versions"]);
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", "\"array\"", why));
    }
    for (i, version) in versions.iter().enumerate() {
        let path = Path::default().field("spec").field("versions").index(i);
        if version["name"].as_str().unwrap_or("").is_empty() {
            causes.push(Cause::required(path.field("name").as_str(), ""));
        }
        let path = path.field("schema").field("openAPIV3Schema");
        match object::at(version, &["schema", "openAPIV3Schema"]) {
            None => causes.push(Cause::required(path.as_str(), "schemas are required")),
            Some(json) => {
                if json["type"] != "object" {
                    let shown = json["type"].to_string();
                    causes.push(Cause::invalid(path.field("type").as_str(), &shown, "must be object at the root"));
                }
                causes.extend(schema::parse(json, &path).err().unwrap_or_default());
            }
        }
    }
}

/// The status of a definition that is served; keeps the transition times of one that already was.
pub(crate) fn set_status(definition: &mut Value, old: Option<&Value>) {
    let storage = object::list_at(definition, &["spec", "versions"]);
    let stored: Vec<_> = storage.iter().filter(|v| v["storage"] == true).map(|v| v["name"].clone()).collect();
    let conditions = match old.and_then(|old| object::at(old, &["status", "conditions"])) {
        Some(conditions) => conditions.clone(),
        None => {
            let now = object::now_seconds();
            let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now});
            json!([
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            ])
        }
    };
    let names = definition["spec"]["names"].clone();
    definition["status"] = json!({"conditions": conditions, "acceptedNames": names, "storedVersions": stored});
}
