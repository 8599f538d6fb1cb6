//! From a CustomResourceDefinition to the resources it makes the server serve.

use std::sync::Arc;

use serde_json::Value;

use super::column::Column;
use super::{Resource, ScalePaths};
use crate::object;
use crate::schema::{self, Path, Schema};

/// What one version of a definition says.
#[derive(Debug)]
pub(crate) struct CustomVersion {
    pub schema: Schema,
    /// The schema as written, for OpenAPI.
    pub written_schema: Value,
    pub columns: Vec<Column>,
    /// Paths of the fields that field selectors may name, without the leading dot.
    pub selectable: Vec<String>,
    pub list_kind: String,
}

/// The collection of a definition's objects.
pub(crate) fn storage_of(definition: &Value) -> Arc<str> {
    let group = object::str_at(definition, &["spec", "group"]);
    let plural = object::str_at(definition, &["spec", "names", "plural"]);
    Arc::from(format!("{plural}.{group}"))
}

/// One resource for each served version; none for a definition whose schema does not parse, which creation refuses.
pub(super) fn resources(definition: &Value) -> Vec<Resource> {
    let versions = object::list_at(definition, &["spec", "versions"]).iter();
    versions.filter(|v| v["served"] == true).filter_map(|version| resource(definition, version)).collect()
}

fn resource(definition: &Value, version: &Value) -> Option<Resource> {
    let names = object::at(definition, &["spec", "names"])?;
    let text = |field: &str| names[field].as_str().unwrap_or("").to_owned();
    let list = |field: &str| {
        let items = names[field].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let written = object::at(version, &["schema", "openAPIV3Schema"]).cloned().unwrap_or(Value::Null);
    let schema = schema::parse(&written, &Path::default()).ok()?;
    let columns = match version["additionalPrinterColumns"].as_array() {
        Some(columns) if !columns.is_empty() => columns.iter().map(Column::parse).collect(),
        _ => vec![Column::age()],
    };
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let selectable = selectable.filter_map(|f| f["jsonPath"].as_str()).map(|p| p.trim_start_matches('.').to_owned());
    Some(Resource {
        group: object::str_at(definition, &["spec", "group"]).to_owned(),
        version: version["name"].as_str()?.to_owned(),
        kind: text("kind"),
        plural: text("plural"),
        singular: text("singular"),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: object::str_at(definition, &["spec", "scope"]) == "Namespaced",
        status: version.pointer("/subresources/status").is_some(),
        scale: version.pointer("/subresources/scale").map(scale_paths),
        storage: storage_of(definition),
        decode: None,
        custom: Some(Arc::new(CustomVersion {
            schema,
            written_schema: written,
            columns,
            selectable: selectable.collect(),
            list_kind: text("listKind"),
        })),
    })
}

fn scale_paths(scale: &Value) -> ScalePaths {
    let path = |field: &str| {
        let text = scale[field].as_str()?;
        Some(text.trim_start_matches('.').split('.').map(str::to_owned).collect::<Vec<_>>())
    };
    ScalePaths {
        spec_replicas: path("specReplicasPath").unwrap_or_default(),
        status_replicas: path("statusReplicasPath").unwrap_or_default(),
        selector: path("labelSelectorPath"),
    }
}
