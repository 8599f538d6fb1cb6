//! The committed definitions are the ones the types give.

use std::{fs, path::Path};

use serde::Deserialize;

#[test]
fn committed_definitions_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    for manifest in ottla_crds::manifest::all() {
        let committed = fs::read_to_string(folder.join(manifest.file)).unwrap_or_default();
        assert!(committed == manifest.yaml().unwrap(), "{} is stale: run `just generate`", manifest.file);
    }
}

#[test]
fn the_installation_without_helm_brings_these_definitions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/install.yaml");
    let text = fs::read_to_string(path).unwrap();
    let objects: Vec<_> = serde_yaml::Deserializer::from_str(&text)
        .map(|object| serde_yaml::Value::deserialize(object).unwrap())
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .collect();
    for manifest in ottla_crds::manifest::all() {
        let definition: serde_yaml::Value = serde_yaml::from_str(&manifest.yaml().unwrap()).unwrap();
        let installed = objects.iter().find(|object| object["metadata"]["name"] == definition["metadata"]["name"]);
        let spec = installed.map(|installed| &installed["spec"]);
        assert!(spec == Some(&definition["spec"]), "manifests/install.yaml is stale: run charts/render");
    }
}
