//! The CustomResourceDefinitions as objects and as the YAML that is committed under `crds/generated/`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{KafkaCluster, KafkaTopic};

/// A definition and the name of its file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The file's name under `crds/generated/`.
    pub file: &'static str,
    /// The definition to install.
    pub definition: CustomResourceDefinition,
}

/// Every definition of this crate, in the order to install them.
pub fn all() -> Vec<Manifest> {
    vec![
        Manifest { file: "kafkacluster.yaml", definition: definition::<KafkaCluster>() },
        Manifest { file: "kafkatopic.yaml", definition: definition::<KafkaTopic>() },
    ]
}

impl Manifest {
    /// The definition as YAML, headed by where it comes from.
    ///
    /// # Errors
    /// Fails only if the definition cannot be written as YAML, which a derived one always can.
    pub fn yaml(&self) -> Result<String, serde_yaml::Error> {
        let body = serde_yaml::to_string(&plain_numbers(json!(self.definition)))?;
        Ok(format!("# Generated from crds/src by `just generate`: do not edit.\n{body}"))
    }
}

/// A derived definition with its optional fields as people expect them: an explicit null is dropped by the API server
/// as if the field were left out, instead of reaching the rules as a value of its own.
fn definition<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut definition = K::crd();
    let schemas = definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()).for_each(forbid_null);
    definition
}

fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(forbid_null);
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(items)) => forbid_null(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(forbid_null),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        forbid_null(values);
    }
}

/// Bounds are floating-point in the API's types; `maximum: 500.0` is not how a person would write them.
fn plain_numbers(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(plain_numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, field)| (key, plain_numbers(field))).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => json!(float as i64),
            _ => Value::Number(number),
        },
        other => other,
    }
}
