//! The example manifests are what the types read, and the definitions say what people rely on.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail by panicking")]

use std::{fs, path::Path};

use ottla_crds::{KafkaCluster, KafkaTopic, manifest};
use serde::Deserialize;

/// Every document of every file under `manifests/` that is one of ours.
fn documents() -> Vec<(String, serde_yaml::Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let mut documents = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            for document in serde_yaml::Deserializer::from_str(&text) {
                documents.push((path.display().to_string(), serde_yaml::Value::deserialize(document).unwrap()));
            }
        }
    }
    documents
}

#[test]
fn every_example_manifest_reads_without_an_unknown_field() {
    let documents = documents();
    assert!(documents.len() >= 4);
    for (file, document) in documents {
        let written = serde_json::to_value(&document).unwrap();
        let read = match document["kind"].as_str() {
            Some("KafkaCluster") => serde_json::to_value(serde_yaml::from_value::<KafkaCluster>(document).unwrap()),
            Some("KafkaTopic") => serde_json::to_value(serde_yaml::from_value::<KafkaTopic>(document).unwrap()),
            _ => continue,
        };
        assert_contains(&file, &read.unwrap(), &written);
    }
}

/// Asserts that all of `part` is in `whole`: nothing that a person wrote was dropped on reading.
fn assert_contains(place: &str, whole: &serde_json::Value, part: &serde_json::Value) {
    match (whole, part) {
        (serde_json::Value::Object(whole), serde_json::Value::Object(part)) => {
            for (key, value) in part {
                let found = whole.get(key).unwrap_or_else(|| panic!("{place}.{key} is no field of the schema"));
                assert_contains(&format!("{place}.{key}"), found, value);
            }
        }
        (serde_json::Value::Array(whole), serde_json::Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{place}");
            for (whole, part) in whole.iter().zip(part) {
                assert_contains(place, whole, part);
            }
        }
        _ => assert_eq!(whole, part, "{place}"),
    }
}

#[test]
fn every_field_of_our_own_is_documented() {
    for manifest in manifest::all() {
        let schema = manifest.definition.spec.versions[0].schema.as_ref().unwrap();
        let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap();
        let spec = &schema["properties"]["spec"]["properties"];
        for (name, field) in spec.as_object().unwrap() {
            assert!(field["description"].as_str().is_some_and(|text| text.len() > 10), "spec.{name}");
        }
        let status = &schema["properties"]["status"]["properties"];
        for (name, field) in status.as_object().unwrap() {
            assert!(field["description"].as_str().is_some_and(|text| text.len() > 10), "status.{name}");
        }
    }
}

#[test]
fn every_rule_has_a_sentence_for_a_person() {
    for manifest in manifest::all() {
        let text = serde_json::to_value(&manifest.definition).unwrap();
        let mut rules = Vec::new();
        collect_rules(&text, &mut rules);
        assert!(!rules.is_empty());
        for rule in rules {
            assert!(rule["message"].as_str().is_some_and(|text| text.len() > 20), "{rule}");
        }
    }
}

fn collect_rules(value: &serde_json::Value, rules: &mut Vec<serde_json::Value>) {
    match value {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::Array(found)) = fields.get("x-kubernetes-validations") {
                rules.extend(found.iter().cloned());
            }
            fields.values().for_each(|field| collect_rules(field, rules));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_rules(item, rules)),
        _ => {}
    }
}
