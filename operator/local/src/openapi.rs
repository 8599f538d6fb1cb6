//! OpenAPI v3 documents, one per group and version: for `kubectl explain` and for validation by clients.
//!
//! Built-in kinds take their schemas from `k8s-openapi`, custom ones from their definitions. Documents are made when
//! first asked for and forgotten when a definition changes.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::schemars::generate::SchemaSettings;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::resources::{Registry, Resource, builtin};

const REFERENCE: &str = "#/components/schemas/";
const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The documents made so far, by path (`api/v1`, `apis/apps/v1`).
#[derive(Default)]
pub(crate) struct OpenApi {
    documents: RwLock<HashMap<String, Arc<Value>>>,
}

impl OpenApi {
    /// Drops all documents: the kinds have changed.
    pub fn forget(&self) {
        self.documents.write().clear();
    }

    /// The index of documents.
    pub fn index(&self, registry: &Registry) -> Value {
        let mut paths = Map::new();
        for resource in registry.all() {
            let path = path_of(&resource);
            // The hash is what clients cache by: any change of the kinds must change it.
            let hash = fingerprint(registry);
            paths.insert(path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash:016X}")}));
        }
        json!({"paths": paths})
    }

    /// The document at a path of the index.
    pub fn document(&self, registry: &Registry, path: &str) -> Option<Arc<Value>> {
        if let Some(document) = self.documents.read().get(path) {
            return Some(document.clone());
        }
        let resources: Vec<_> = registry.all().into_iter().filter(|resource| path_of(resource) == path).collect();
        let document = Arc::new(document(&resources)?);
        self.documents.write().insert(path.to_owned(), document.clone());
        Some(document)
    }

    /// The fields of a built-in object that its schema does not know.
    pub fn unknown_fields(&self, resource: &Resource, object: &Value) -> Vec<String> {
        let path = format!("builtin:{}", path_of(resource));
        let cached = self.documents.read().get(&path).cloned();
        let schemas = cached.unwrap_or_else(|| {
            let schemas = Arc::new(Value::Object(builtin_schemas(&resource.group)));
            self.documents.write().insert(path, schemas.clone());
            schemas
        });
        let root = schemas.as_object().into_iter().flatten().find(|(_, schema)| is_kind(schema, resource));
        let mut unknown = Vec::new();
        if let Some((_, root)) = root {
            walk(object, root, &schemas, "", &mut unknown);
        }
        unknown
    }
}

fn path_of(resource: &Resource) -> String {
    let prefix = if resource.group.is_empty() { "api" } else { "apis" };
    format!("{prefix}/{}", resource.group_version())
}

fn is_kind(schema: &Value, resource: &Resource) -> bool {
    schema[GROUP_VERSION_KIND][0] == gvk(resource)
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// Changes with the kinds served and with their schemas.
fn fingerprint(registry: &Registry) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for resource in registry.all() {
        resource.group_version().hash(&mut hasher);
        resource.plural.hash(&mut hasher);
        if let Some(custom) = &resource.custom {
            custom.written_schema.to_string().hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn document(resources: &[Arc<Resource>]) -> Option<Value> {
    let first = resources.first()?;
    let mut schemas = builtin_schemas(&first.group);
    let mut paths = Map::new();
    for resource in resources {
        if let Some(custom) = &resource.custom {
            if !schemas.contains_key(META) {
                schemas.extend(builtin_schemas("").into_iter().filter(|(name, _)| name.contains(".meta.v1.")));
            }
            schemas.insert(custom_name(resource), custom_schema(resource, &custom.written_schema));
        }
        add_paths(resource, &mut paths);
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": crate::discovery::KUBERNETES_VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn builtin_schemas(group: &str) -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let kinds = builtin::add_schemas(group, &mut generator);
    let mut schemas = generator.take_definitions(true);
    for (kind, reference) in kinds {
        let name = reference.as_value()["$ref"].as_str().unwrap_or("").trim_start_matches(REFERENCE);
        if let Some(schema) = schemas.get_mut(name) {
            schema[GROUP_VERSION_KIND] = json!([{"group": group, "version": "v1", "kind": kind}]);
        }
    }
    schemas
}

/// `io.ottla.v1alpha1.KafkaTopic` for `ottla.io`, as a real server names it.
fn custom_name(resource: &Resource) -> String {
    let group: Vec<_> = resource.group.split('.').rev().collect();
    format!("{}.{}.{}", group.join("."), resource.version, resource.kind)
}

fn custom_schema(resource: &Resource, written: &Value) -> Value {
    let mut schema = written.clone();
    let strings = |description: &str| json!({"type": "string", "description": description});
    schema["properties"]["apiVersion"] =
        strings("APIVersion defines the versioned schema of this representation of an object.");
    schema["properties"]["kind"] =
        strings("Kind is a string value representing the REST resource this object represents.");
    schema["properties"]["metadata"] =
        json!({"description": "Standard object's metadata.", "allOf": [{"$ref": format!("{REFERENCE}{META}")}]});
    schema[GROUP_VERSION_KIND] = json!([gvk(resource)]);
    schema
}

/// The operations by which clients find a kind, and see that `fieldValidation` is obeyed.
fn add_paths(resource: &Resource, paths: &mut Map<String, Value>) {
    let scope = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
    let collection = format!("/{}/{scope}{}", path_of(resource), resource.plural);
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let operation = |action: &str, parameters: &[&str]| {
        json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(resource),
            "parameters": parameters.iter().map(|name| parameter(name)).collect::<Vec<_>>(),
            "responses": {"200": {"description": "OK"}},
        })
    };
    let writing = ["dryRun", "fieldManager", "fieldValidation"];
    paths.insert(
        collection.clone(),
        json!({"get": operation("list", &["labelSelector", "fieldSelector"]), "post": operation("post", &writing)}),
    );
    // Strategic merge is left out: the schemas lack its keys, and clients that know the kind use their own.
    let mut patch = operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]);
    patch["requestBody"] = json!({"content": {
        "application/apply-patch+yaml": {}, "application/json-patch+json": {}, "application/merge-patch+json": {},
    }});
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation("get", &[]), "put": operation("put", &writing), "patch": patch,
            "delete": operation("delete", &["dryRun"]),
        }),
    );
}

fn walk(value: &Value, schema: &Value, schemas: &Value, path: &str, unknown: &mut Vec<String>) {
    let schema = resolved(schema, schemas);
    match value {
        Value::Object(fields) => {
            let properties = schema["properties"].as_object();
            for (name, child) in fields {
                let below = properties.and_then(|p| p.get(name)).or_else(|| schema.get("additionalProperties"));
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match below {
                    Some(below) => walk(child, below, schemas, &path, unknown),
                    None if properties.is_some() => unknown.push(path),
                    None => {}
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                walk(item, &schema["items"], schemas, &format!("{path}[{i}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Follows a reference, also one wrapped in `allOf` to carry a description.
fn resolved<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    match reference.and_then(|reference| reference.strip_prefix(REFERENCE)) {
        Some(name) => &schemas[name],
        None => schema,
    }
}
