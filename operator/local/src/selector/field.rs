//! `metadata.name=x,status.phase!=Running`: field selectors over the fields each kind allows.

use serde_json::Value;

use crate::object;
use crate::resources::Resource;

/// A conjunction of comparisons with dotted paths; the empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Comparison>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    path: Vec<String>,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Parses a selector for objects of `resource`; the error is a sentence for the client.
    pub fn parse(text: &str, resource: &Resource) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(|part| comparison(part, resource)).collect::<Result<_, _>>().map(Self)
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|comparison| {
            let path: Vec<&str> = comparison.path.iter().map(String::as_str).collect();
            let value = match object::at(object, &path) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            (value == comparison.value) == comparison.equal
        })
    }
}

fn comparison(part: &str, resource: &Resource) -> Result<Comparison, String> {
    let split =
        ["!=", "==", "="].iter().find_map(|op| part.split_once(op).map(|(path, value)| (path, value, *op != "!=")));
    let Some((path, value, equal)) = split else {
        return Err(format!("invalid selector: '{text}'; can't understand '{text}'", text = part));
    };
    if !is_supported(path, resource) {
        return Err(format!("field label not supported: {path}"));
    }
    let value = value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\");
    Ok(Comparison { path: path.split('.').map(str::to_owned).collect(), value, equal })
}

fn is_supported(path: &str, resource: &Resource) -> bool {
    if matches!(path, "metadata.name" | "metadata.namespace") {
        return true;
    }
    if let Some(custom) = &resource.custom {
        return custom.selectable.iter().any(|selectable| selectable == path);
    }
    match &*resource.storage {
        "pods" => matches!(
            path,
            "spec.nodeName"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "spec.serviceAccountName"
                | "status.phase"
                | "status.podIP"
                | "status.nominatedNodeName"
        ),
        "events" => {
            let object = ["involvedObject.", "regarding."].iter().find_map(|prefix| path.strip_prefix(prefix));
            object.is_some_and(|f| {
                matches!(f, "kind" | "namespace" | "name" | "uid" | "apiVersion" | "resourceVersion" | "fieldPath")
            }) || matches!(path, "reason" | "type" | "reportingComponent" | "reportingController" | "source")
        }
        "secrets" => path == "type",
        "namespaces" => path == "status.phase",
        "services" => matches!(path, "spec.clusterIP" | "spec.type"),
        "nodes" => path == "spec.unschedulable",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::FieldSelector;
    use crate::resources::Registry;

    #[test]
    fn only_the_fields_a_kind_allows_can_be_selected() {
        let pods = Registry::new().get("", "v1", "pods").unwrap();
        let pod = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        let matches = |text: &str| FieldSelector::parse(text, &pods).unwrap().matches(&pod);
        assert!(matches("metadata.name=a,status.phase!=Pending"));
        assert!(matches("spec.nodeName="));
        assert!(!matches("spec.nodeName!="));
        let error = FieldSelector::parse("spec.hostNetwork=true", &pods).unwrap_err();
        assert_eq!(error, "field label not supported: spec.hostNetwork");
    }
}
